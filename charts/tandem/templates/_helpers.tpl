{{/* Labels by which the Deployment, the Service and the NetworkPolicy find the operator; immutable once installed. */}}
{{- define "tandem.selector" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tandem.labels" -}}
{{ include "tandem.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tandem.image" -}}
{{- $repository := required "image.repository is empty: build the operator's image, push it to a registry of yours, and install with --set image.repository=..." .Values.image.repository -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/*
Helm looks up every kind before it creates the first object, so a release cannot bring a definition and an object of it at once.
What Helm says then helps nobody; `helm template`, which has no cluster to ask, renders both.
*/}}
{{- define "tandem.served" -}}
{{- if and (lookup "v1" "Namespace" "" "kube-system") (not (.Capabilities.APIVersions.Has "tandem.dev/v1alpha1/AcceleratorProfile")) }}
{{- fail "profiles.install: this cluster does not know AcceleratorProfiles yet. Install without it, which brings the definitions, then run helm upgrade with --reset-then-reuse-values --set profiles.install=true" }}
{{- end }}
{{- end }}
