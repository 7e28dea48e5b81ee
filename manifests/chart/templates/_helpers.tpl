{{- /* federation.yaml: the keys of the values that are settings, as they are. */ -}}
{{- define "falco-federation.settings" -}}
{{- $settings := dict -}}
{{- range $key := list "cluster" "role" "labels" "tags" "injectAt" "rules" "hub" -}}
{{- if hasKey $.Values $key -}}{{- $_ := set $settings $key (index $.Values $key) -}}{{- end -}}
{{- end -}}
{{- $rules := $settings.rules | default dict -}}
{{- if and .Values.imagePullSecrets (not (hasKey $rules "imagePullSecrets")) -}}
{{- $names := list -}}
{{- range .Values.imagePullSecrets -}}{{- $names = append $names .name -}}{{- end -}}
{{- $_ := set $settings "rules" (merge (dict "imagePullSecrets" $names) $rules) -}}
{{- end -}}
{{- if include "falco-federation.hasForwarder" . -}}
{{- $forwarder := pick .Values.forwarder "address" "spoolSize" -}}
{{- if and (ne .Release.Namespace "falco-federation") (not (hasKey $forwarder "address")) -}}
{{- $_ := set $forwarder "address" (printf "http://falco-federation-forwarder.%s:2801" .Release.Namespace) -}}
{{- end -}}
{{- with $forwarder -}}{{- $_ := set $settings "forwarder" . -}}{{- end -}}
{{- end -}}
{{- if include "falco-federation.hasReceiver" . -}}
{{- $_ := set $settings "receiver" (pick .Values.receiver "falcosidekick" "spokes") -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "falco-federation.hasForwarder" -}}
{{- $hub := .Values.hub | default dict -}}
{{- if and (ne (.Values.role | default "spoke") "hub") $hub.address -}}true{{- end -}}
{{- end -}}

{{- define "falco-federation.hasReceiver" -}}
{{- if eq (.Values.role | default "spoke") "hub" -}}true{{- end -}}
{{- end -}}

{{- define "falco-federation.image" -}}
{{- $registry := (.Values.global | default dict).imageRegistry | default .Values.image.registry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- /*
metadata of an object: a dict of root and name, and where they are wanted program (whose label selects pods; it never
changes), labels, annotations, and cluster for objects without a namespace.
*/ -}}
{{- define "falco-federation.metadata" -}}
{{- $labels := dict -}}
{{- with .program -}}
{{- $labels = dict "app.kubernetes.io/name" (printf "falco-federation-%s" .) "app.kubernetes.io/part-of" "falco-federation" -}}
{{- end -}}
{{- $labels = merge $labels (.labels | default dict) .root.Values.commonLabels -}}
{{- $annotations := merge dict (.annotations | default dict) .root.Values.commonAnnotations -}}
name: {{ .name }}
{{- if not .cluster }}
namespace: {{ .root.Release.Namespace }}
{{- end }}
{{- with $labels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* A base with the keys of another mapping in place of its own; null takes one away. Sprig's merge would keep what is false. */ -}}
{{- define "falco-federation.over" -}}
{{- $result := deepCopy .base -}}
{{- range $key, $value := .with -}}
{{- if kindIs "invalid" $value }}{{ $_ := unset $result $key }}{{ else }}{{ $_ := set $result $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $result -}}
{{- end -}}

{{- /* Values of a program's pods: those at the top, and in their place its own. A dict of root and program. */ -}}
{{- define "falco-federation.values" -}}
{{- include "falco-federation.over" (dict "base" (omit .root.Values "webhook" "forwarder" "receiver") "with" (index .root.Values .program)) -}}
{{- end -}}

{{- define "falco-federation.account" -}}
{{- (index .root.Values .program).serviceAccount.name | default (printf "falco-federation-%s" .program) -}}
{{- end -}}

{{- /* Apart where the cluster allows it; together is better than not at all. */ -}}
{{- define "falco-federation.spread" -}}
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      app.kubernetes.io/name: falco-federation-{{ $.program }}
  {{- if eq $.program "webhook" }}
  matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{- define "falco-federation.probes" -}}
startupProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 1, failureThreshold: 60}
livenessProbe: {httpGet: {path: /livez, port: health}, periodSeconds: 10, timeoutSeconds: 5}
readinessProbe: {httpGet: {path: /readyz, port: health}, periodSeconds: 5, timeoutSeconds: 2, failureThreshold: 2}
{{- end -}}

{{- /*
The template of a program's pods: a dict of root, program, and parts: what is its own of args, env, ports, volumes,
volumeMounts and requests, and of the pod's spec.
*/ -}}
{{- define "falco-federation.pod" -}}
{{- $parts := .parts -}}
{{- $values := include "falco-federation.values" . | fromYaml -}}
metadata:
  labels:
    app.kubernetes.io/name: falco-federation-{{ .program }}
    app.kubernetes.io/part-of: falco-federation
    {{- with merge dict $values.podLabels .root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .program }}
    {{- with merge dict $values.podAnnotations .root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "falco-federation.account" . }}
  automountServiceAccountToken: {{ eq .program "webhook" }}
  enableServiceLinks: false
  {{- $passed := pick $values "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" "hostAliases" "dnsPolicy" "dnsConfig" }}
  {{- range $key, $value := merge $passed $parts.spec }}
  {{- with $value }}
  {{- toYaml (dict $key .) | nindent 2 }}
  {{- end }}
  {{- end }}
  topologySpreadConstraints:
    {{- $values.topologySpreadConstraints | default (include "falco-federation.spread" . | fromYamlArray) | toYaml | nindent 4 }}
  securityContext:
    {{- $ids := dict "runAsUser" 65532 "runAsGroup" 65532 }}
    {{- $security := dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault") }}
    {{- if ne .program "webhook" }}
    {{- /* So that it may write to a claimed volume, and read its Secret. */}}
    {{- $_ := set $ids "fsGroup" 65532 }}
    {{- $_ := set $security "fsGroupChangePolicy" "OnRootMismatch" }}
    {{- end }}
    {{- if not .root.Values.openshift.enabled }}{{ $security = merge $security $ids }}{{ end }}
    {{- include "falco-federation.over" (dict "base" $security "with" $values.podSecurityContext) | nindent 4 }}
  containers:
    - name: {{ .program }}
      image: {{ include "falco-federation.image" .root }}
      {{- with .root.Values.image.pullPolicy }}
      imagePullPolicy: {{ . }}
      {{- end }}
      args:
        {{- toYaml $parts.args | nindent 8 }}
        {{- with $values.logLevel }}
        - --log-level={{ . }}
        {{- end }}
        {{- with $values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with concat ($parts.env | default list) $values.extraEnv }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- toYaml $parts.ports | nindent 8 }}
      {{- range $name, $probe := include "falco-federation.probes" . | fromYaml }}
      {{ $name }}:
        {{- include "falco-federation.over" (dict "base" $probe "with" (index $values $name)) | nindent 8 }}
      {{- end }}
      resources:
        {{- $requests := merge dict ($values.resources.requests | default dict) ($parts.requests | default dict) }}
        {{- include "falco-federation.over" (dict "base" $values.resources "with" (dict "requests" $requests)) | nindent 8 }}
      securityContext:
        {{- $security := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "capabilities" (dict "drop" (list "ALL")) }}
        {{- include "falco-federation.over" (dict "base" $security "with" $values.securityContext) | nindent 8 }}
      volumeMounts:
        {{- $settings := dict "name" "settings" "mountPath" "/etc/falco-federation-webhook" "readOnly" true }}
        {{- concat (list $settings) ($parts.volumeMounts | default list) $values.extraVolumeMounts | toYaml | nindent 8 }}
  volumes:
    {{- $settings := dict "name" "settings" "configMap" (dict "name" "falco-federation-webhook") }}
    {{- concat (list $settings) ($parts.volumes | default list) $values.extraVolumes | toYaml | nindent 4 }}
{{- end -}}

{{- /* What each program has beside its workload: a dict of root, program, and the ports and more of its Service. */ -}}
{{- define "falco-federation.around" -}}
{{- $name := printf "falco-federation-%s" .program -}}
{{- $values := include "falco-federation.values" . | fromYaml -}}
{{- $budget := $values.podDisruptionBudget -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "falco-federation.metadata" (dict "root" .root "name" $name "program" .program "annotations" $values.service.annotations) | nindent 2 }}
spec:
  {{- toYaml .service | nindent 2 }}
  {{- range $key, $value := omit $values.service "annotations" "nodePort" }}
  {{- with $value }}
  {{- toYaml (dict $key .) | nindent 2 }}
  {{- end }}
  {{- end }}
  selector:
    app.kubernetes.io/name: {{ $name }}
{{- if $values.serviceAccount.create }}
---
# The webhook's pods ask for its token; nothing else that runs as this account gets it by accident. The others ask nothing
# of the API server, and have none.
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "falco-federation.metadata" (dict "root" .root "name" (include "falco-federation.account" .) "program" .program "annotations" $values.serviceAccount.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- /* Where one replica can stay. */}}
{{- if and (ne (toString $budget.enabled) "false") (gt (int $values.replicas) 1) }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "falco-federation.metadata" (dict "root" .root "name" $name "program" .program) | nindent 2 }}
spec:
  {{- if hasKey $budget "maxUnavailable" }}
  maxUnavailable: {{ $budget.maxUnavailable }}
  {{- else }}
  minAvailable: {{ $budget.minAvailable | default 1 }}
  {{- end }}
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ $name }}
  # Replicas that are not ready protect nothing, and must not hold up the drain of a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
{{- end }}
{{- end -}}

{{- /* A binding of one of our roles to the webhook: a dict of kind, name and root. */ -}}
{{- define "falco-federation.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  {{- include "falco-federation.metadata" (dict "root" .root "name" .name "program" "webhook" "cluster" (eq .kind "ClusterRole")) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: {{ include "falco-federation.account" (dict "root" .root "program" "webhook") }}
    namespace: {{ .root.Release.Namespace }}
{{- end -}}
