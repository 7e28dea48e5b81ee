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
    sentence: 'The pod was made part of the federation.',
  },
  taken_out: {
    severity: 'done',
    sentence: 'What an earlier injection had added was removed; nothing is asked for here any more.',
  },
  already_injected: {
    severity: 'skipped',
    sentence: 'Everything that would be added is already there.',
  },
  nothing_to_add: {
    severity: 'skipped',
    sentence: 'The settings ask for nothing in this pod.',
  },
  not_falco: {
    severity: 'skipped',
    sentence: 'No container is Falco or falcosidekick.',
  },
  opted_out: {
    severity: 'skipped',
    sentence: 'The label falco-federation.io/inject: disabled opts the pod out.',
  },
  kind_without_pod: {
    severity: 'skipped',
    sentence: 'No pod template is known in objects of this kind.',
  },
  kind_not_injected: {
    severity: 'warning',
    sentence: 'Falco or falcosidekick is inside an object of a kind that `inject` does not change.',
    remedy: 'The webhook injects the pods that are made of it.',
  },
  operation_not_handled: {
    severity: 'skipped',
    sentence: 'Only the creation of pods, and the creation or update of workloads, is handled.',
  },
  workload_left_to_pods: {
    severity: 'skipped',
    sentence: 'Pods are injected as they are created; workload templates are left unchanged.',
    remedy: 'Set injectAt: workload to change templates too.',
  },
  review_malformed: {
    severity: 'error',
    sentence: 'The request is not a valid AdmissionReview, so nothing was changed.',
    remedy: 'Send an AdmissionReview of admission.k8s.io/v1 with request.uid and request.object.',
  },
  pod_malformed: {
    severity: 'error',
    sentence: 'The pod or pod template does not match the Kubernetes API, so nothing was changed.',
    remedy: 'Compare it with `kubectl explain pod.spec`.',
  },
  pod_too_large: {
    severity: 'warning',
    sentence:
      'The pod has more than 10,000 containers, volumes, mounts, variables and arguments, or texts as long, so it was not changed.',
    remedy: 'Make it smaller: put what its arguments and variables hold into a ConfigMap.',
  },
  internal_error: {
    severity: 'error',
    sentence: 'An internal error occurred in falco-federation-webhook; the object was admitted unchanged.',
    remedy: 'Please report it with the log line of this request.',
  },

  // Which container is Falco, and what its arguments allow.
  falco_ambiguous: {
    severity: 'warning',
    sentence: 'Several containers match Falco equally well, so none was changed.',
    remedy: 'Make sure that only one container is named falco, has a Falco image and starts /usr/bin/falco.',
  },
  falcosidekick_ambiguous: {
    severity: 'warning',
    sentence: 'Several containers match falcosidekick, so none was changed.',
    remedy: 'Make sure that only one container of the pod is named falcosidekick or has its image.',
  },
  falco_command_unclear: {
    severity: 'warning',
    sentence: 'Falco is started by a wrapper that may not pass arguments on, so it was not changed.',
    remedy: 'Start Falco directly, with command or args that begin with /usr/bin/falco.',
  },
  falco_only_looks: {
    severity: 'skipped',
    sentence: 'This Falco only prints or validates something and exits, so it was not changed.',
  },
  falco_image_command_unknown: {
    severity: 'warning',
    sentence:
      "Falco is started by its image's default command, which is not known and which args would replace, so it was not changed.",
    remedy:
      'Set args explicitly, beginning with /usr/bin/falco. For an official image referenced by digest or latest, the annotation falco-federation.io/falco-version is enough.',
  },
  falco_too_old: {
    severity: 'warning',
    sentence:
      'Falco before 0.38 does not support additional configuration files, so its rules are not tagged.',
    remedy:
      "Upgrade Falco to 0.41 or later. If the image has a version of its own, set Falco's with the annotation falco-federation.io/falco-version.",
  },
  falco_version_unknown: {
    severity: 'warning',
    sentence:
      "Falco's version cannot be read from the image; 0.41 or later is assumed, and an older Falco may fail to start.",
    remedy:
      'Set the annotation falco-federation.io/falco-version on the pod or namespace, or use an image tag with the version.',
  },
  falco_without_extra_fields: {
    severity: 'warning',
    sentence: 'Falco 0.38 cannot add fields to its alerts; only the forwarder adds the labels.',
    remedy: 'Upgrade Falco to 0.39 or later.',
  },
  rules_given_by_argument: {
    severity: 'warning',
    sentence: 'Falco is started with -r, which overrides rules_files, so its rules are not tagged.',
    remedy: 'List the rules in rules_files instead of using -r.',
  },
  rules_option_conflict: {
    severity: 'warning',
    sentence:
      'An argument of Falco replaces rules_files or config_files; adding to it would stop Falco, so its rules are not tagged.',
    remedy: 'Use -o rules_files[]=… and -o config_files[]=…, or the configuration file.',
  },
  fields_option_conflict: {
    severity: 'warning',
    sentence:
      'An argument of Falco sets append_output as a whole; adding to it would stop Falco, so only the forwarder adds the labels.',
    remedy: 'Use -o append_output[]=…, or the configuration file.',
  },
  rules_option_untagged: {
    severity: 'warning',
    sentence:
      'An argument of Falco sets an entry of rules_files by index, which Falco applies after the tagged list; those rules are not tagged.',
    remedy: 'Use -o rules_files[]=…, or the configuration file.',
  },
  image_unknown: {
    severity: 'warning',
    sentence:
      "The webhook's own image is not known, so no container was added: rules are not tagged, and alerts are not shipped.",
    remedy:
      'Allow the webhook to read its own pod (Role falco-federation-webhook: get pods), or set rules.image. /readyz says why it cannot.',
  },
  pull_secrets_of_account_hidden: {
    severity: 'warning',
    sentence:
      'The template now lists imagePullSecrets (rules.imagePullSecrets), so those of its service account no longer apply.',
    remedy: "If Falco's own image needs them, list them in the template too (the chart: imagePullSecrets).",
  },
  rules_in_image: {
    severity: 'warning',
    sentence: "The rules are in Falco's own image and are not copied from there, so they are not tagged.",
    remedy: 'Set rules.startup: init and rules.inImage: copy.',
  },
  mount_left_out: {
    severity: 'warning',
    sentence:
      'A volume mount of Falco is not available to the tagging container; rules in it are not tagged.',
    remedy:
      'Mount rules at /etc/falco/rules.d or as a .yaml file below /etc/falco, or name their path in an argument of Falco (-o rules_files[]=…); use subPath instead of subPathExpr.',
  },
  volume_name_taken: {
    severity: 'warning',
    sentence:
      'The pod already has a volume or mount with the name or path of ours, so its rules are not tagged.',
    remedy: 'Rename that volume, or mount it at another path.',
  },

  // How its alerts leave it.
  alerts_volume_in_the_way: {
    severity: 'error',
    sentence:
      'The pod has a volume or mount of its own where the one for alerts would go, so they are not shipped to the hub.',
    remedy: 'Give that volume or mount another name or path.',
  },
  alerts_memory_small: {
    severity: 'warning',
    sentence:
      "Alerts wait in memory that counts against Falco's limit, which is less than eight times their volume; Falco may be killed while the forwarder is away.",
    remedy: "Raise the memory limit of Falco's container, or lower alerts.volumeSize.",
  },
  forwarder_not_resolvable: {
    severity: 'warning',
    sentence:
      "The pod is on the host's network and resolves no Services, so its alerts do not find the forwarder by its name.",
    remedy: 'Set dnsPolicy: ClusterFirstWithHostNet in the pod, or an IP address as forwarder.address.',
  },

  // falcosidekick.
  custom_field_removed: {
    severity: 'warning',
    sentence:
      "One of our labels was switched off in the hub's CUSTOMFIELDS: it would overwrite the spokes' values and stop falcosidekick.",
    remedy: "Remove the field from the hub's customfields.",
  },
  field_unreadable: {
    severity: 'warning',
    sentence:
      "falcosidekick's fields come from a Secret, ConfigMap or reference that cannot be read here; labels that could collide with them were left out.",
    remedy: 'Set CUSTOMFIELDS, TEMPLATEDFIELDS and PROMETHEUS_EXTRALABELS as plain values.',
  },
  field_templated_by_user: {
    severity: 'warning',
    sentence: "falcosidekick's TEMPLATEDFIELDS already has a template for one of our labels; it was kept.",
    remedy: 'Remove the template to use the value of the settings.',
  },
  field_is_extra_label: {
    severity: 'warning',
    sentence:
      'One of our labels is also in PROMETHEUS_EXTRALABELS; falcosidekick would panic on the duplicate, so it was not added to its fields.',
    remedy: "Remove it from falcosidekick's prometheus.extralabels.",
  },
  field_named_alike: {
    severity: 'warning',
    sentence:
      'A field of falcosidekick and one of our labels differ only in "." and "_"; falcosidekick would panic on both, so ours was not added to its fields.',
    remedy: 'Rename the field or the label.',
  },
  fields_unread: {
    severity: 'note',
    sentence:
      'falcosidekick may get labels or fields from a Secret or ConfigMap that cannot be read here; it panics at start-up if one of our labels is among them.',
    remedy: "Keep our labels out of falcosidekick's prometheus.extralabels.",
  },
  hub_custom_fields: {
    severity: 'warning',
    sentence: "A hub's CUSTOMFIELDS overwrite fields on the events of every spoke.",
    remedy: "Set them on the hub's Falco (append_output), or as templatedfields.",
  },
  hub_custom_tags: {
    severity: 'warning',
    sentence: "A hub's CUSTOMTAGS are added to the events of every spoke.",
    remedy: "Remove customtags; the hub's own rules carry the tags of the settings.",
  },

  // Annotations.
  annotation_unknown: {
    severity: 'warning',
    sentence: 'An annotation with the prefix falco-federation.io/ is not known and has no effect.',
    remedy: 'Known are falco-federation.io/cluster, /labels, /tags and /falco-version.',
  },
  annotation_invalid: {
    severity: 'warning',
    sentence: 'An annotation was ignored because its value is invalid.',
    remedy: 'docs/settings.md has the rules for each annotation.',
  },

  // What tag-rules did.
  rules_tagged: {
    severity: 'done',
    sentence: 'All rules were tagged and published.',
  },
  alerts_collected: {
    severity: 'note',
    sentence: 'Falco writes its alerts, as JSON, to a file from which they go to the forwarder.',
  },
  alerts_file_output_taken: {
    severity: 'error',
    sentence:
      "Falco's own file_output is enabled and was kept; Falco has only one, so its alerts do not reach the forwarder.",
    remedy:
      "Disable file_output in Falco's configuration; what reads that file can read Falco's stdout instead.",
  },
  alerts_text_output: {
    severity: 'error',
    sentence:
      'An output of Falco sends alerts as text, which json_output would change, so json_output was left off and alerts do not reach the forwarder.',
    remedy: "Set json_output: true in Falco's configuration, or disable that output.",
  },
  alerts_not_json: {
    severity: 'error',
    sentence:
      "Falco's json_output is off and must not be changed (alerts.jsonOutput: leave), so its alerts do not reach the forwarder.",
    remedy: "Set json_output: true in Falco's configuration or arguments, or alerts.jsonOutput: set.",
  },
  alerts_option_conflict: {
    severity: 'error',
    sentence:
      'An argument or a later configuration file of Falco overrides file_output or json_output, so its alerts do not reach the forwarder.',
    remedy:
      "Remove -o file_output… and -o json_output… from Falco's arguments, or set json_output=true there.",
  },
  alerts_configuration_unknown: {
    severity: 'error',
    sentence:
      "It is not known which outputs Falco's configuration enables, so none was added and its alerts do not reach the forwarder.",
    remedy: 'Look up the reason named here, and correct the configuration as it says.',
  },
  rules_tagged_in_part: {
    severity: 'warning',
    sentence: 'Rules were tagged and published, but some are, or may be, untagged.',
    remedy: 'See the findings of each file and entry.',
  },
  rules_none_defined: {
    severity: 'skipped',
    sentence: 'The visible rules files define no rules, so there is nothing to tag.',
  },
  rules_watch_off: {
    severity: 'warning',
    sentence:
      'Falco does not reload on changes (watch_config_files is false): rules tagged while it runs take effect at its next start.',
    remedy: 'Set watch_config_files: true, or restart Falco after each change of its rules.',
  },
  rules_watch_off_before_start: {
    severity: 'skipped',
    sentence:
      'Falco does not reload on changes (watch_config_files is false): it reads the rules tagged now at its start, and nothing later.',
  },
  rules_previous_kept: {
    severity: 'warning',
    sentence:
      'The previously published rules stay in force: without them Falco would have no rules file at all.',
    remedy:
      'Restore the rules files, or correct the configuration; they are tagged as soon as they are there.',
  },
  rules_argument_not_expanded: {
    severity: 'skipped',
    sentence: 'An argument of Falco contains a variable with an unknown value, so nothing was tagged.',
    remedy: 'Write the value itself, or define the variable in the container.',
  },
  rules_config_unreadable: {
    severity: 'error',
    sentence: 'A configuration file of Falco could not be read, so its rules files are not known.',
    remedy: 'Make the file readable for user 65532 and mount it into the init container.',
  },
  rules_config_invalid: {
    severity: 'error',
    sentence:
      'A configuration file of Falco is not valid YAML, or contains paths that are not UTF-8, so its rules files are not known.',
    remedy: 'Correct the file.',
  },
  rules_config_refused: {
    severity: 'error',
    sentence: 'Falco itself rejects this configuration, so nothing was tagged.',
    remedy: 'Correct the configuration; `falco --dry-run` reports the same.',
  },
  rules_config_variable_unknown: {
    severity: 'warning',
    sentence:
      'The path of a configuration file contains a variable with an unknown value, so nothing was tagged.',
    remedy: 'Write the path itself.',
  },
  rules_config_after_ours: {
    severity: 'warning',
    sentence:
      'A configuration file that is loaded after ours could change rules_files, so nothing was tagged.',
    remedy: 'Put the -o config_files option for /etc/falco-federation last.',
  },
  rules_path_not_escapable: {
    severity: 'warning',
    sentence:
      'A path in rules_files contains "$", which cannot be escaped in Falco\'s configuration, so nothing was tagged.',
    remedy: 'Use a path without "$".',
  },
  rules_withdrawn: {
    severity: 'warning',
    sentence: 'The tagged rules could not be renewed and were withdrawn: Falco runs its own rules, untagged.',
    remedy:
      'Make room in the volume falco-federation; rules are tagged again as soon as they can be written.',
  },
  rules_tag_selected: {
    severity: 'warning',
    sentence:
      "Falco's configuration enables or disables rules by one of our tags, so it was not added to rules; the forwarder adds it to events.",
    remedy: "Select rules by another tag (Falco's key rules, -t, -T), or use another tag in the settings.",
  },
  rules_no_tags: {
    severity: 'skipped',
    sentence: 'There are no tags to add, so rules stay as they are.',
  },
  rules_none_listed: {
    severity: 'skipped',
    sentence: 'The configuration lists no rules files, so there is nothing to tag.',
  },
  rules_none_visible: {
    severity: 'warning',
    sentence: 'None of the listed rules files is visible to the tagging container, so nothing was tagged.',
    remedy:
      "Nothing to do if rules come later; if they are in Falco's own image, see the log of falco-federation-copy-rules.",
  },
  rules_none_tagged: {
    severity: 'error',
    sentence: 'None of the rules could be tagged.',
    remedy: 'See the findings of each file and entry.',
  },
  rules_entry_missing: {
    severity: 'skipped',
    sentence: "A listed rules file does not exist, or only in Falco's image; the entry is unchanged.",
  },
  rules_entry_empty: {
    severity: 'skipped',
    sentence: 'A listed folder contains no rules files that Falco loads; the entry is unchanged.',
    remedy:
      'Name rules files .yaml or .yml; Falco ignores them if that ending also occurs earlier in the path.',
  },
  rules_entry_ignored: {
    severity: 'skipped',
    sentence: 'Falco does not load a listed file; the entry is unchanged.',
    remedy:
      'Name rules files .yaml or .yml; Falco ignores them if that ending also occurs earlier in the path.',
  },
  rules_entry_relative: {
    severity: 'warning',
    sentence:
      "A listed path is relative, and Falco's working directory is not known; the entry stays untagged.",
    remedy: 'Use an absolute path.',
  },
  rules_entry_unreadable: {
    severity: 'warning',
    sentence: 'Rules files could not be read; the entry stays untagged.',
    remedy: 'Make the file readable for user 65532.',
  },
  rules_entry_variable_unknown: {
    severity: 'warning',
    sentence: 'A listed path contains a variable with an unknown value; the entry stays untagged.',
    remedy: 'Write the path itself.',
  },
  rules_entry_name_not_utf8: {
    severity: 'warning',
    sentence: 'The name of a rules file is not UTF-8; the entry stays untagged.',
    remedy: 'Rename the file.',
  },
  rules_entry_too_large: {
    severity: 'warning',
    sentence: 'The tagged copies would not fit into the volume; the entry stays untagged.',
    remedy: 'Split or shorten the rules files.',
  },
  rules_added_untagged: {
    severity: 'warning',
    sentence:
      'Rules files added by an -o rules_files option are loaded after the tagged ones and stay untagged.',
    remedy: 'List them under falco.rules_files instead.',
  },
  rules_file_not_parsed: {
    severity: 'warning',
    sentence: 'A rules file could not be parsed and was copied unchanged.',
    remedy: 'Correct the file; `falco -V FILE` validates it.',
  },
  rules_file_refused: {
    severity: 'warning',
    sentence: 'Falco rejects this rules file; it was copied unchanged.',
    remedy: 'Correct the file; `falco -V FILE` validates it.',
  },
  rules_file_too_large_to_tag: {
    severity: 'warning',
    sentence:
      "A rules file has more tags or anchored values than the container's memory allows and was copied unchanged.",
    remedy: 'Split the item, or write anchored values out.',
  },
  rules_file_edit_unproven: {
    severity: 'warning',
    sentence: 'The tagged text of a rule did not parse to the same rule, so the rule stays untagged.',
    remedy: 'Please report the file.',
  },
  rules_rule_not_tagged: {
    severity: 'warning',
    sentence: 'Tags cannot be added safely to the text of a rule, which stays untagged.',
    remedy: 'Write its tags as tags: [a, b].',
  },
  rules_tags_shared: {
    severity: 'warning',
    sentence: 'The tags of a rule are a YAML anchor that is used elsewhere too; the rule stays untagged.',
    remedy: 'Write its tags out.',
  },
  rules_output_unwritable: {
    severity: 'error',
    sentence:
      'The tagged rules could not be written; Falco keeps the previously published rules, or its own.',
    remedy: 'Check that the output folder exists, is writable for user 65532 and has free space.',
  },
  rules_tagging_failed: {
    severity: 'error',
    sentence: 'An internal error occurred; nothing was changed for Falco.',
    remedy: 'Please report it with the log.',
  },
  // How pods that are there stand to today's settings.
  pod_not_federated: {
    severity: 'warning',
    sentence:
      'The pod was created without the webhook or before its namespace opted in; its alerts carry no cluster.',
    remedy: 'Restart its workload with `kubectl rollout restart`.',
  },
  pod_stale: {
    severity: 'warning',
    sentence: 'The pod was injected with other settings, or by another version, than those in force.',
    remedy: 'Restart its workload with `kubectl rollout restart`.',
  },
  pod_failing: {
    severity: 'warning',
    sentence: 'falcosidekick or one of our containers does not start or keeps restarting.',
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

/** Whether somebody should look at it. */
export function needsAttention({ code }: Finding): boolean {
  const { severity } = reasons[code];
  return severity === 'warning' || severity === 'error';
}

/** A finding as one line for people: `code: sentence (detail). Remedy.` */
export function sentenceOf(finding: Finding): string {
  const { sentence, remedy } = reasons[finding.code];
  const detail = finding.detail === undefined ? '' : ` (${finding.detail})`;
  const told = `${finding.code}: ${sentence.replace(/\.$/, '')}${detail}.`;
  return remedy === undefined ? told : `${told} ${remedy}`;
}
