/**
 * Every outcome of this program, as a snake_case code with one sentence and a remedy.
 *
 * The log, the admission warning, the audit annotation, the command line and docs/reasons.md all print from
 * this table, so that a code seen in one place can be looked up in any other.
 */

/**
 * - `done`: something was federated;
 * - `skipped`: nothing was changed, and that is as it should be;
 * - `note`: nothing is wrong as far as can be seen, but it is worth knowing;
 * - `warning`: something was left out or kept that the user should know of;
 * - `error`: we could not do our work; Falco is left as it was.
 */
export type Severity = 'done' | 'skipped' | 'note' | 'warning' | 'error';

export interface Reason {
  readonly severity: Severity;
  /** What happened, for a person who has not read our source. */
  readonly sentence: string;
  /** What to do about it; absent where nothing needs doing. */
  readonly remedy?: string;
}

const table = {
  // What an admission request or a document came to.
  injected: {
    severity: 'done',
    sentence: 'The pod became part of the federation.',
  },
  taken_out: {
    severity: 'done',
    sentence: 'What an earlier injection had added was taken out again: the settings ask for nothing here.',
  },
  already_injected: {
    severity: 'skipped',
    sentence: 'Everything that would be added is there already.',
  },
  nothing_to_add: {
    severity: 'skipped',
    sentence: 'The settings ask for nothing in this pod.',
  },
  not_falco: {
    severity: 'skipped',
    sentence: 'No container here is Falco or falcosidekick.',
  },
  opted_out: {
    severity: 'skipped',
    sentence: 'The pod asks to be left alone by the label falco-federation.io/inject: disabled.',
  },
  kind_without_pod: {
    severity: 'skipped',
    sentence: 'Objects of this kind have no pod template.',
  },
  operation_not_handled: {
    severity: 'skipped',
    sentence: 'Only new pods and new or changed workloads are looked at.',
  },
  workload_left_to_pods: {
    severity: 'skipped',
    sentence: 'The settings inject pods as they are created and leave workload templates alone.',
    remedy: 'Set injectAt: workload to change templates too.',
  },
  review_malformed: {
    severity: 'error',
    sentence: 'The request is not an AdmissionReview that this webhook understands, so nothing was changed.',
    remedy: 'Send an AdmissionReview of admission.k8s.io/v1 with request.uid and request.object.',
  },
  pod_malformed: {
    severity: 'error',
    sentence: 'The pod or pod template is not shaped as Kubernetes defines it, so nothing was changed.',
    remedy: 'Compare it with `kubectl explain pod.spec`.',
  },
  internal_error: {
    severity: 'error',
    sentence: 'Something went wrong inside falco-federation-webhook; the object was let through unchanged.',
    remedy: 'Please report it with the log line of this request.',
  },

  // Which container is Falco, and what its arguments allow.
  falco_ambiguous: {
    severity: 'warning',
    sentence: 'Several containers look equally like Falco, so none was changed.',
    remedy: 'Let one container alone be named falco, have a Falco image and start /usr/bin/falco.',
  },
  falcosidekick_ambiguous: {
    severity: 'warning',
    sentence: 'More than one container looks like falcosidekick, so none was changed.',
    remedy: 'Leave one container named falcosidekick or with its image in the pod.',
  },
  falco_command_unclear: {
    severity: 'warning',
    sentence: 'Falco is started by something that does not hand its arguments on, so they were not changed.',
    remedy: 'Start Falco directly: command or args that begin with /usr/bin/falco.',
  },
  falco_only_looks: {
    severity: 'skipped',
    sentence: 'Falco checks or prints something here and ends, so there is nothing to federate.',
  },
  falco_image_command_unknown: {
    severity: 'warning',
    sentence:
      'Falco is started by a command in its image that is not known here and that arguments would replace, so it was not changed.',
    remedy:
      "Write args out, beginning with /usr/bin/falco; for an image of falcosecurity's by digest or latest the annotation falco-federation.io/falco-version does too.",
  },
  falco_too_old: {
    severity: 'warning',
    sentence:
      'This Falco is older than 0.38 and reads no additional configuration files, so it was not changed.',
    remedy:
      'Upgrade Falco to 0.41 or later; where the image has a number of its own, say which Falco it is by the annotation falco-federation.io/falco-version.',
  },
  falco_version_unknown: {
    severity: 'warning',
    sentence:
      'The image does not say which Falco it holds; it was taken for 0.41 or later, an older one may not start.',
    remedy:
      'Say it by the annotation falco-federation.io/falco-version on the pod or namespace, or by a tag.',
  },
  falco_without_extra_fields: {
    severity: 'warning',
    sentence: 'Falco 0.38 cannot add fields to its alerts; only falcosidekick adds the labels.',
    remedy: 'Upgrade Falco to 0.39 or later.',
  },
  rules_given_by_argument: {
    severity: 'warning',
    sentence: 'Falco is started with -r and ignores rules_files, so its rules are not tagged.',
    remedy: 'List the rules in rules_files, or set rules.enabled: false so that falcosidekick adds the tags.',
  },
  rules_option_conflict: {
    severity: 'warning',
    sentence:
      'An argument of Falco sets rules_files or config_files as a whole; adding to it would stop Falco, so its rules are not tagged.',
    remedy: 'Use -o rules_files[]=… and -o config_files[]=…, or the configuration file.',
  },
  fields_option_conflict: {
    severity: 'warning',
    sentence:
      'An argument of Falco sets append_output as a whole; adding to it would stop Falco, so only falcosidekick adds the labels.',
    remedy: 'Use -o append_output[]=…, or the configuration file.',
  },
  rules_option_untagged: {
    severity: 'warning',
    sentence:
      'A rules file is put into rules_files by its index; Falco reads it after our list is in place, so its rules are not tagged.',
    remedy: 'Use -o rules_files[]=…, or the configuration file.',
  },
  image_unknown: {
    severity: 'warning',
    sentence:
      'The webhook does not know which image it runs from, so no container that tags rules was added.',
    remedy:
      'Let it read its own pod (Role falco-federation-webhook: get pods), or set rules.image. Readiness says why it cannot.',
  },
  pull_secrets_of_account_hidden: {
    severity: 'warning',
    sentence:
      'The template names imagePullSecrets now (rules.imagePullSecrets), so those of its service account count no more.',
    remedy:
      "If Falco's own image is pulled with those, name them in the template too (the chart: imagePullSecrets).",
  },
  rules_in_image: {
    severity: 'warning',
    sentence: "The rules lie in Falco's own image and are not copied from there, so they are not tagged.",
    remedy:
      "Set rules.startup: init with rules.inImage: copy, or rules.enabled: false so that the spoke's falcosidekick adds the tags.",
  },
  mount_left_out: {
    severity: 'warning',
    sentence:
      "One of Falco's mounts is not given to the tagging container; if rules lie there, they are not tagged.",
    remedy:
      'Mount rules at /etc/falco/rules.d or as a .yaml file below /etc/falco, or name their path in an argument of Falco (-o rules_files[]=…); use subPath instead of subPathExpr.',
  },
  volume_name_taken: {
    severity: 'warning',
    sentence: 'The pod has a volume or mount of its own where ours would go, so its rules are not tagged.',
    remedy: 'Give that volume or mount another name or path.',
  },

  // falcosidekick.
  forwarder_address_kept: {
    severity: 'warning',
    sentence:
      "falcosidekick's Node-RED output has an address of the user's, so it does not post to the forwarder.",
    remedy:
      'Remove NODERED_ADDRESS from its environment, or use through: falcosidekick in the settings, or post to the forwarder by an output of your own.',
  },
  node_red_output_taken: {
    severity: 'note',
    sentence:
      "falcosidekick's Node-RED output posts to the forwarder; an address for it that may stand in what is not read here no longer counts.",
  },
  node_red_output_unsupported: {
    severity: 'warning',
    sentence: 'falcosidekick before 2.27 has no Node-RED output, so nothing of it reaches the forwarder.',
    remedy: 'Upgrade falcosidekick to 2.27 or later.',
  },
  forwarder_not_resolvable: {
    severity: 'warning',
    sentence:
      "The pod is on the host's network and resolves no Services, so it does not find the forwarder by its name.",
    remedy: 'Set dnsPolicy: ClusterFirstWithHostNet in the pod, or an IP address as forwarder.address.',
  },
  hub_address_kept: {
    severity: 'warning',
    sentence:
      'falcosidekick has a WEBHOOK_ADDRESS of its own; it was kept, so events go there and not to the hub.',
    remedy:
      "Remove it from falcosidekick's env or Secret (config.webhook.address) to let the settings decide.",
  },
  webhook_output_taken: {
    severity: 'warning',
    sentence:
      "falcosidekick's webhook output now posts to the hub; a receiver of your own in what cannot be read here gets nothing any more.",
    remedy: 'If there is one, use another output for it, or set WEBHOOK_ADDRESS in env: there it is kept.',
  },
  client_certificate_shared: {
    severity: 'warning',
    sentence:
      "falcosidekick has one client certificate for all its outputs, and it is the hub's now; other outputs with mutual TLS may be set where told.",
    remedy: 'Let those outputs accept the same certificate, or do without hub.clientCertificateSecret.',
  },
  hub_not_set: {
    severity: 'warning',
    sentence: 'The settings name no hub, so falcosidekick does not forward its events.',
    remedy: 'Set hub.address, or role: hub on the hub cluster.',
  },
  custom_field_replaced: {
    severity: 'warning',
    sentence: "falcosidekick's CUSTOMFIELDS set one of our labels to another value; the settings win.",
    remedy: 'Remove the field from customfields, or change labels.',
  },
  custom_field_removed: {
    severity: 'warning',
    sentence:
      "One of our labels was taken out of the hub's CUSTOMFIELDS: it would overwrite what the spokes say, and stop falcosidekick.",
    remedy: "Remove the field from the hub's customfields.",
  },
  field_unreadable: {
    severity: 'warning',
    sentence:
      'falcosidekick takes its fields from a Secret, ConfigMap or reference that cannot be read here; ours were left out where both together could stop it.',
    remedy: 'Give CUSTOMFIELDS, TEMPLATEDFIELDS and PROMETHEUS_EXTRALABELS as plain values.',
  },
  field_templated_by_user: {
    severity: 'warning',
    sentence: "falcosidekick's TEMPLATEDFIELDS have a template for one of our labels already; it was kept.",
    remedy: 'Remove the template to let the settings decide.',
  },
  field_is_extra_label: {
    severity: 'warning',
    sentence:
      'One of our labels is in PROMETHEUS_EXTRALABELS already; falcosidekick would stop on the doubled label, so it was left out of its fields.',
    remedy: "Remove it from falcosidekick's prometheus.extralabels.",
  },
  field_named_alike: {
    severity: 'warning',
    sentence:
      'A field of falcosidekick and one of our labels differ only in "." and "_"; falcosidekick would stop on both, so ours was left out of its fields.',
    remedy: 'Rename the field, or the label.',
  },
  fields_in_env_from: {
    severity: 'note',
    sentence:
      'falcosidekick may take labels or fields from what cannot be read here; if one of our labels is among them, it stops at its start.',
    remedy: "Keep our labels out of falcosidekick's prometheus.extralabels.",
  },
  fields_doubled: {
    severity: 'warning',
    sentence:
      'Two of falcosidekick\'s own fields and labels have one name once "." is "_"; with them it stops at its start.',
    remedy: 'Rename or remove one in customfields, templatedfields or prometheus.extralabels.',
  },
  field_with_dot: {
    severity: 'warning',
    sentence:
      'This falcosidekick, as 2.30 to 2.33 do, fails on every event while a field of its own has a dot in its name; the events are lost.',
    remedy: 'Write the name with "_", or upgrade falcosidekick to 2.34.',
  },
  hub_custom_fields: {
    severity: 'warning',
    sentence: "A hub's CUSTOMFIELDS are put on the events of every spoke too, over what the spokes say.",
    remedy: "Set them on the hub's Falco (append_output), or as templatedfields.",
  },
  hub_custom_tags: {
    severity: 'warning',
    sentence: "A hub's CUSTOMTAGS are put on the events of every spoke too.",
    remedy: "Remove customtags; the tags of the settings are on the hub's own rules.",
  },
  custom_tags_unsupported: {
    severity: 'warning',
    sentence: 'This falcosidekick is older than 2.30 and adds no tags to events.',
    remedy: 'Upgrade falcosidekick, or set rules.enabled: true.',
  },
  custom_tags_unreadable: {
    severity: 'warning',
    sentence:
      'falcosidekick takes CUSTOMTAGS from a reference that cannot be read here; ours were put behind it.',
  },

  // Annotations.
  annotation_unknown: {
    severity: 'warning',
    sentence: 'An annotation of falco-federation.io/ is not known and has no effect.',
    remedy: 'Known are falco-federation.io/cluster, /labels, /tags and /falco-version.',
  },
  annotation_invalid: {
    severity: 'warning',
    sentence: 'An annotation was ignored because its value is not allowed.',
    remedy: 'docs/settings.md has the rules for each annotation.',
  },

  // What tag-rules did.
  rules_tagged: {
    severity: 'done',
    sentence: 'The rules were tagged and published.',
  },
  alerts_posted_to_forwarder: {
    severity: 'note',
    sentence: 'Falco posts its alerts to nobody by itself, so it posts them to the forwarder, as JSON.',
  },
  alerts_posted_by_user: {
    severity: 'skipped',
    sentence: 'Falco posts its alerts to an address of its own configuration; that is left as it is.',
  },
  alerts_not_posted: {
    severity: 'warning',
    sentence:
      "Falco's arguments set http_output or json_output, so it is not made to post its alerts to the forwarder.",
    remedy: 'Remove these options, or let them post to falcosidekick or to the forwarder.',
  },
  rules_tagged_in_part: {
    severity: 'warning',
    sentence: 'Rules were tagged and published, but others stay untagged, or may.',
    remedy: 'See what is said of each file and entry.',
  },
  rules_none_there: {
    severity: 'skipped',
    sentence: 'The rules files that can be seen define no rules, so there is nothing to tag.',
  },
  rules_watch_off: {
    severity: 'warning',
    sentence:
      'Falco does not look for changes (watch_config_files is off): what is tagged while it runs counts from its next start.',
    remedy: 'Set watch_config_files: true, or restart Falco after each change of its rules.',
  },
  rules_watch_off_before_start: {
    severity: 'skipped',
    sentence:
      'Falco does not look for changes (watch_config_files is off): it reads what is tagged now when it starts, and nothing later.',
  },
  rules_former_kept: {
    severity: 'warning',
    sentence: 'What was published before stays in force: without it Falco would have no rules file at all.',
    remedy:
      'Put the rules files back, or correct the configuration; they are tagged as soon as they are there.',
  },
  rules_left_to_argument: {
    severity: 'skipped',
    sentence: 'Falco is given rules files with -r and then ignores rules_files, so nothing was tagged.',
    remedy: 'List the files under falco.rules_files instead of using -r.',
  },
  rules_left_to_option: {
    severity: 'skipped',
    sentence: 'An -o option sets rules_files as a whole and would undo a tagged list, so nothing was tagged.',
    remedy: 'Use -o rules_files[]=… or falco.rules_files instead.',
  },
  rules_falco_too_old: {
    severity: 'skipped',
    sentence: 'Falco before 0.38 reads no drop-in configuration, so nothing was tagged.',
    remedy: 'Use Falco 0.38 or later.',
  },
  rules_argument_not_expanded: {
    severity: 'skipped',
    sentence: 'An argument of Falco holds a variable whose value is not known here, so nothing was tagged.',
    remedy: 'Write the value itself, or define the variable in the container.',
  },
  rules_config_unreadable: {
    severity: 'error',
    sentence: 'A config file of Falco could not be read, so which rules files it loads is not known.',
    remedy: 'Make the file readable for user 65532, and mounted into the init container.',
  },
  rules_config_broken: {
    severity: 'error',
    sentence:
      'A config file of Falco is not valid YAML, or its paths are not UTF-8, so which rules files it loads is not known.',
    remedy: 'Correct the file.',
  },
  rules_config_refused: {
    severity: 'error',
    sentence: 'Falco itself refuses to start with this configuration, so nothing was tagged.',
    remedy: 'Correct the configuration; `falco --dry-run` says the same.',
  },
  rules_config_variable_unknown: {
    severity: 'warning',
    sentence:
      'The path of a config file holds a variable whose value is not known here, so nothing was tagged.',
    remedy: 'Write the path itself.',
  },
  rules_config_after_ours: {
    severity: 'warning',
    sentence: 'A config file that comes after the drop-in could change its list, so nothing was tagged.',
    remedy: 'Put the -o config_files option for the drop-in last.',
  },
  rules_path_not_writable: {
    severity: 'warning',
    sentence: 'A path in rules_files cannot be written again for Falco, so nothing was tagged.',
    remedy: 'Use a path without $.',
  },
  rules_none_listed: {
    severity: 'skipped',
    sentence: 'The configuration lists no rules files, so there is nothing to tag.',
  },
  rules_none_seen: {
    severity: 'warning',
    sentence: 'None of the listed rules files can be seen from here, so nothing was tagged.',
    remedy:
      "Nothing to do if rules come later; if they are in Falco's own image, the log of falco-federation-copy-rules says more.",
  },
  rules_none_tagged: {
    severity: 'error',
    sentence: 'There are rules files, but none of their rules could be tagged.',
    remedy: 'See what is said of each file and entry.',
  },
  rules_entry_missing: {
    severity: 'skipped',
    sentence: 'A listed rules file is not there, or only in the image of Falco; the entry stays as it was.',
  },
  rules_entry_empty: {
    severity: 'skipped',
    sentence: 'A listed folder holds no rules files that Falco loads; the entry stays as it was.',
    remedy: 'Name rules files .yaml or .yml; with the same ending earlier in the path Falco leaves them out.',
  },
  rules_entry_ignored: {
    severity: 'skipped',
    sentence: 'A listed file is none that Falco loads; the entry stays as it was.',
    remedy: 'Name rules files .yaml or .yml; with the same ending earlier in the path Falco leaves them out.',
  },
  rules_entry_relative: {
    severity: 'warning',
    sentence: 'A listed path is relative to a folder that is not known here; the entry stays untagged.',
    remedy: 'Write the whole path.',
  },
  rules_entry_unreadable: {
    severity: 'warning',
    sentence: 'Rules files could not be read; the entry stays untagged.',
    remedy: 'Make the file readable for user 65532.',
  },
  rules_entry_variable_unknown: {
    severity: 'warning',
    sentence: 'A listed path holds a variable whose value is not known here; the entry stays untagged.',
    remedy: 'Write the path itself.',
  },
  rules_entry_name_not_utf8: {
    severity: 'warning',
    sentence: 'A rules file has a name that is not UTF-8; the entry stays untagged.',
    remedy: 'Rename the file.',
  },
  rules_entry_too_large: {
    severity: 'warning',
    sentence: 'The tagged copies would be larger than the volume is meant for; the entry stays untagged.',
    remedy: 'Split or shorten the rules files.',
  },
  rules_added_untagged: {
    severity: 'warning',
    sentence:
      'Rules files that an -o rules_files option adds are loaded after the tagged ones and stay untagged.',
    remedy: 'List them under falco.rules_files instead.',
  },
  rules_file_not_parsed: {
    severity: 'warning',
    sentence: 'A rules file could not be parsed and was copied as it is.',
    remedy: 'Correct the file; `falco -V FILE` validates it.',
  },
  rules_file_refused: {
    severity: 'warning',
    sentence: 'Falco refuses this rules file; it was copied as it is.',
    remedy: 'Correct the file; `falco -V FILE` validates it.',
  },
  rules_file_too_large_to_tag: {
    severity: 'warning',
    sentence:
      'A rules file holds too many tags or anchored values at once for the memory of the container and was copied as it is.',
    remedy: 'Split the item, or write anchored values out.',
  },
  rules_file_edit_unproven: {
    severity: 'warning',
    sentence: 'A rule with its tags did not read back as it should, so it stays untagged.',
    remedy: 'Please report the file.',
  },
  rules_rule_not_tagged: {
    severity: 'warning',
    sentence: 'There is no safe place for the tag in the text of a rule, which stays untagged.',
    remedy: 'Write its tags as tags: [a, b].',
  },
  rules_tags_shared: {
    severity: 'warning',
    sentence:
      'The tags of a rule are a YAML anchor that other things than tags refer to; the rule stays untagged.',
    remedy: 'Write its tags out.',
  },
  rules_output_unwritable: {
    severity: 'error',
    sentence:
      'The tagged rules could not be written; Falco keeps what was published before, or else its own rules.',
    remedy: 'See that the output folder exists, is writable for user 65532 and has space.',
  },
  rules_tagging_failed: {
    severity: 'error',
    sentence: 'Something went wrong that should not; nothing was changed for Falco.',
    remedy: 'Please report it with the log.',
  },
  // How pods that are there stand to today's settings.
  pod_not_federated: {
    severity: 'warning',
    sentence:
      'The pod was created without the webhook or before its namespace opted in, so its alerts are not marked.',
    remedy: 'Restart its workload with `kubectl rollout restart`.',
  },
  pod_stale: {
    severity: 'warning',
    sentence: "The pod was injected with other settings or by another version than today's.",
    remedy: 'Restart its workload with `kubectl rollout restart`.',
  },
  pod_failing: {
    severity: 'warning',
    sentence: 'A container of ours or falcosidekick does not start or keeps ending.',
    remedy: "See that container's log, and `kubectl describe pod`.",
  },
} as const satisfies Record<string, Reason>;

export type ReasonCode = keyof typeof table;

export const reasons: Readonly<Record<ReasonCode, Reason>> = table;

/** One thing that happened: its code, and what it happened to (a container, a key's path, a file). */
export interface Finding {
  readonly code: ReasonCode;
  /** The particulars: names and values, never a secret. */
  readonly detail?: string;
}

/** A finding as one line for people: `code: sentence (detail). Remedy.` */
export function sentenceOf(finding: Finding): string {
  const { sentence, remedy } = reasons[finding.code];
  const detail = finding.detail === undefined ? '' : ` (${finding.detail})`;
  const told = `${finding.code}: ${sentence.replace(/\.$/, '')}${detail}.`;
  return remedy === undefined ? told : `${told} ${remedy}`;
}
