{{- define "relay.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "relay.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "relay.labels" -}}
{{ include "relay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "relay.healthPort" -}}
{{- regexFind "[0-9]+$" .Values.healthCheckAddr -}}
{{- end -}}

{{- /* Where the kubelet asks: on loopback if the relay answers everywhere. */}}
{{- define "relay.healthHost" -}}
{{- $host := regexReplaceAll ":[0-9]+$" .Values.healthCheckAddr "" | trimPrefix "[" | trimSuffix "]" -}}
{{- if has $host (list "" "0.0.0.0" "::") }}127.0.0.1{{ else }}{{ $host }}{{ end -}}
{{- end -}}
