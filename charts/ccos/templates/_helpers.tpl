{{/* Names are fixed, not derived from the release: the binaries refer to them, and the kinds that they watch exist once in a cluster. */}}

{{/* Call with a dict: root, component. */}}
{{- define "ccos.selector" -}}
app.kubernetes.io/name: ccos
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "ccos.labels" -}}
{{ include "ccos.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* Call with a dict: root, image. */}}
{{- define "ccos.image" -}}
{{ .root.Values.image.registry }}/{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The profile as both binaries and `ccos check --profile` read it. */}}
{{- define "ccos.profile" -}}
runnerImage: {{ include "ccos.image" (dict "root" . "image" .Values.runner.image) }}
priorityClassName: ccos-execution
startDeadline: {{ .Values.runner.startDeadline }}
isolations:
  {{- range $name, $isolation := .Values.isolations }}
  {{- $egress := and (($.Values.egress).enabled) (or (has $name (list "GVisor" "Kata")) $isolation.egress) }}
  {{ $name }}: {{ toJson (ternary (merge (dict "egress" true) $isolation) (omit $isolation "egress") (not (not $egress))) }}
  {{- end }}
{{- with .Values.ceiling }}
ceiling: {{ toJson . }}
{{- end }}
{{- end }}

{{/* What the pods of the components share. Call with a dict: root, component, values, and grace, if 30 seconds are not enough. */}}
{{- define "ccos.pod" -}}
serviceAccountName: ccos-{{ .component }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ .grace | default 30 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .values.affinity }}
affinity: {{ toJson . }}
{{- end }}
topologySpreadConstraints:
# ScheduleAnyway: two replicas on one node are better than one.
- topologyKey: kubernetes.io/hostname
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "ccos.selector" . | nindent 6 }}
{{- end }}

{{/* What their containers share. As above, and env: more variables. */}}
{{- define "ccos.container" -}}
image: {{ include "ccos.image" (dict "root" .root "image" .values.image) }}
env:
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- {name: RUST_LOG, value: {{ .root.Values.logLevel }}}
{{- with .env }}
{{ toYaml . }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
readinessProbe: {httpGet: {path: /readyz, port: probes}, periodSeconds: 2, failureThreshold: 3}
livenessProbe: {httpGet: {path: /healthz, port: probes}, periodSeconds: 10, failureThreshold: 3}
{{- with .values.resources }}
resources: {{ toJson . }}
{{- end }}
{{- end }}
