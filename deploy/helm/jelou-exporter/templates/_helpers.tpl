{{- define "jelou-exporter.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) }}
{{- $name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "jelou-exporter.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "jelou-exporter.labels" -}}
{{ include "jelou-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* The configuration file: the user's settings and those that the chart knows. */}}
{{- define "jelou-exporter.config" -}}
{{- $api := dict "client_secret_file" (printf "/run/secrets/jelou-exporter/%s" .Values.secret.key) }}
{{- $state := dict "path" (ternary "/data/jelou-exporter.db" "" .Values.persistence.enabled) }}
{{- mergeOverwrite (deepCopy .Values.config) (dict "api" $api "state" $state) | toYaml }}
{{- end }}

{{- define "jelou-exporter.path" -}}
{{- get (.Values.config.web | default dict) "telemetry_path" | default "/metrics" }}
{{- end }}
