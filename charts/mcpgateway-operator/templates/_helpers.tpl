{{- define "operator.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The full name of an image of the values. */ -}}
{{- define "operator.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .version) -}}{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{- /* All permissions of the operator. Secrets: create only, for the gateways' keys; it never reads one. */ -}}
{{- define "operator.rules" -}}
- apiGroups: [mcpgateway.dev]
  resources: [mcpgateways]
  verbs: [get, list, watch]
- apiGroups: [mcpgateway.dev]
  resources: [mcpgateways/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [secrets, events]
  verbs: [create]
{{- if .Values.optionalAPIs.ingress }}
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch, create, patch, delete]
{{- end }}
{{- if .Values.optionalAPIs.httpRoute }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [list, watch, create, patch, delete]
{{- end }}
{{- if .Values.optionalAPIs.serviceMonitor }}
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [list, watch, create, patch, delete]
{{- end }}
{{- end -}}
