{{/*
Rules for where the sessions are: a Role in each of watchNamespaces, or one ClusterRole when there
are none. Takes (list $ "component" rules).
*/}}
{{- define "voicepod.grant" -}}
{{- $ := index . 0 -}}
{{- $component := index . 1 -}}
{{- $rules := index . 2 -}}
{{- $name := printf "%s-%s" (include "voicepod.fullname" $) $component -}}
{{- range $namespace := $.Values.watchNamespaces | default (list "") }}
{{- $kind := ternary "Role" "ClusterRole" (ne $namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "voicepod.labels" (list $ $component) | nindent 4 }}
rules:
  {{- $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ $name }}
  {{- with $namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    {{- include "voicepod.labels" (list $ $component) | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ $name }}
subjects:
  - kind: ServiceAccount
    name: {{ $name }}
    namespace: {{ $.Release.Namespace }}
{{- end }}
{{- end -}}

{{/* What reads the credentials of the LiveKit servers. */}}
{{- define "voicepod.readSecrets" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
  {{- with .Values.livekit.secretNames }}
  resourceNames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
