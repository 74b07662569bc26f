{{/* What the pods of this chart have in common. */}}

{{/* Metadata of a Deployment's pods. Takes (list $ "component"). */}}
{{- define "voicepod.podMetadata" -}}
{{- $ := first . -}}
labels:
  {{- include "voicepod.selector" . | fromYaml | mergeOverwrite (deepCopy $.Values.podLabels) | toYaml | nindent 2 }}
{{- with $.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The PodSpec but for its containers. Takes (list $ "component"). */}}
{{- define "voicepod.podSpec" -}}
{{- $ := first . -}}
serviceAccountName: {{ include "voicepod.fullname" $ }}-{{ last . }}
automountServiceAccountToken: true
# A Service called voicepod would become VOICEPOD_PORT=tcp://…, and be read as a setting.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- range $key, $value := pick $.Values "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with $value }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The image of a container, and what it may do. */}}
{{- define "voicepod.container" -}}
image: {{ include "voicepod.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* The settings that operator and gateway share. Takes (list $ port). */}}
{{- define "voicepod.env" -}}
{{- $ := first . -}}
- name: VOICEPOD_PORT
  value: {{ last . | quote }}
- name: VOICEPOD_NAMESPACES
  value: {{ join "," $.Values.watchNamespaces | quote }}
- name: VOICEPOD_LOG_LEVEL
  value: {{ $.Values.logLevel }}
{{- end -}}

{{/* Probes of the port named http: a process that hangs is started anew after half a minute. */}}
{{- define "voicepod.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end -}}
