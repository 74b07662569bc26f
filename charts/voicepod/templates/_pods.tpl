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

{{/* A Deployment's replicas are replaced one by one, and never all away. Takes the number. */}}
{{- define "voicepod.replicas" -}}
replicas: {{ . }}
strategy:
  rollingUpdate:
    maxUnavailable: 0
{{- end -}}

{{/* Replicas are on different nodes and in different zones. Takes (list $ "component"). */}}
{{- define "voicepod.spread" -}}
{{- $component := . -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    # One node is enough to run on.
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "voicepod.selector" $component | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}

{{/* Nodes are drained one replica after the other. Takes (list $ "component"). */}}
{{- define "voicepod.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "voicepod.metadata" . | nindent 2 }}
spec:
  # Not minAvailable: with a single replica it would keep every node from being drained.
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "voicepod.selector" . | nindent 6 }}
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
