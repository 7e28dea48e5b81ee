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
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* What selects a program's pods never changes: a dict of name and root. */ -}}
{{- define "falco-federation.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: falco-federation
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "falco-federation.podLabels" -}}
{{ include "falco-federation.labels" . }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* For objects of neither program: with a line of its own, or nothing. */ -}}
{{- define "falco-federation.commonLabels" -}}
{{- with .Values.commonLabels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* What both programs' pods have alike. */ -}}
{{- define "falco-federation.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "falco-federation.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "falco-federation.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: health
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: health
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{- /* Apart where the cluster allows it; together is better than not at all. A dict of name and byTemplate. */ -}}
{{- define "falco-federation.spread" -}}
topologySpreadConstraints:
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: {{ $.name }}
    {{- if $.byTemplate }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
{{- end }}
{{- end -}}

{{- /* A binding of one of our roles to the webhook: a dict of kind, name and root. */ -}}
{{- define "falco-federation.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name }}
  {{- if eq .kind "Role" }}
  namespace: {{ .root.Release.Namespace }}
  {{- end }}
  labels:
    {{- include "falco-federation.labels" (dict "name" "falco-federation-webhook" "root" .root) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
  - kind: ServiceAccount
    name: falco-federation-webhook
    namespace: {{ .root.Release.Namespace }}
{{- end -}}

{{- /* A PodDisruptionBudget, where one replica can stay: a dict of name, replicas and root. */ -}}
{{- define "falco-federation.disruptionBudget" -}}
{{- if gt (int .replicas) 1 }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "falco-federation.labels" (dict "name" .name "root" .root) | nindent 4 }}
spec:
  minAvailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: {{ .name }}
  # Replicas that are not ready protect nothing, and must not hold up the drain of a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
{{- end }}
{{- end -}}
