{{/* Labels by which the Deployment, the Service and the NetworkPolicy find the operator; immutable once installed. */}}
{{- define "tandem.selector" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
`helm upgrade --reuse-values` brings the defaults of the older chart, which lack what is new in this one. Asked wherever a
template begins, since nobody knows which one Helm renders first. A value that comes with a later version is to be added.
*/}}
{{- define "tandem.current" -}}
{{- if not (and .Values.crds .Values.gangScheduling .Values.policies .Values.serviceMonitor .Values.prometheusRule) }}
{{- fail "these are the values of an older chart: run helm upgrade with --reset-then-reuse-values in place of --reuse-values" }}
{{- end }}
{{- end }}

{{- define "tandem.labels" -}}
{{- include "tandem.current" . -}}
{{ include "tandem.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "tandem.image" -}}
{{- $repository := required "image.repository is empty: build the operator's image, push it to a registry of yours, and install with --set image.repository=..." .Values.image.repository -}}
{{ $repository }}{{ with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/*
Helm looks up every kind before it creates the first object, so a release cannot bring a definition and an object of it at once.
What Helm says then helps nobody; `helm template`, which has no cluster to ask, renders both.
*/}}
{{- define "tandem.served" -}}
{{- $kind := printf "tandem.dev/v1alpha1/%s" .kind }}
{{- if and (lookup "v1" "Namespace" "" "kube-system") (not (.root.Capabilities.APIVersions.Has $kind)) }}
{{- fail (printf "%s.install: this cluster does not know %s yet. Install without it, which brings the definitions, then run helm upgrade with --reset-then-reuse-values --set %s.install=true" .value .kinds .value) }}
{{- end }}
{{- end }}

{{/* What tells this operator's metrics from everybody else's. */}}
{{- define "tandem.metrics" -}}
job="{{ .Release.Name }}-metrics",namespace="{{ .Release.Namespace }}"
{{- end }}

{{/* The kinds of the Prometheus operator are in a cluster or they are not, and `helm template` cannot know. */}}
{{- define "tandem.monitors" -}}
{{- include "tandem.current" .root -}}
{{- if and .wanted.enabled (or .wanted.force (.root.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}true{{ end }}
{{- end }}
