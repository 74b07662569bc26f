{{/* The beginning of every name: 40 characters leave room for what is put behind it. */}}
{{- define "voicepod.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "voicepod.image" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}

{{/* Where sidecars and gateways send their hints. */}}
{{- define "voicepod.operatorUrl" -}}
http://{{ include "voicepod.fullname" . }}-operator.{{ .Release.Namespace }}.svc:9551
{{- end -}}

{{/* What selects the pods of a component. Takes (list $ "component"). */}}
{{- define "voicepod.selector" -}}
{{- $ := first . -}}
app.kubernetes.io/name: {{ $.Chart.Name }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end -}}

{{/* The labels of every object. Takes (list $ "component"). */}}
{{- define "voicepod.labels" -}}
{{- $ := first . -}}
{{ include "voicepod.selector" . }}
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/part-of: voicepod
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name and labels of an object of a component. Takes (list $ "component"). */}}
{{- define "voicepod.metadata" -}}
{{- $ := first . -}}
name: {{ include "voicepod.fullname" $ }}-{{ last . }}
namespace: {{ $.Release.Namespace }}
labels:
  {{- include "voicepod.labels" . | nindent 2 }}
{{- end -}}

{{/* The agent pods of all watched namespaces, as a peer of a NetworkPolicy. */}}
{{- define "voicepod.agentPods" -}}
- podSelector:
    matchExpressions:
      - key: voicepod.dev/agent
        operator: Exists
  namespaceSelector:
    {{- with .Values.watchNamespaces }}
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
          {{- toYaml . | nindent 10 }}
    {{- else }} {}
    {{- end }}
{{- end -}}
