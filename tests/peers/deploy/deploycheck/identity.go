package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// identity holds that a Pod which takes the place of another goes on with its series. The counters go on from the state, and
// with other labels Prometheus would take them for new ones: what happened while neither ran would be in no increase.
func identity(monitor monitoring.PodMonitor, endpoint monitoring.PodMetricsEndpoint) []error {
	first, err := target(monitor, endpoint, "contact-centre-7d9f-x2x1v", "10.0.0.1")
	if err != nil {
		return []error{fmt.Errorf("PodMonitor %s: %w", monitor.Name, err)}
	}
	second, err := target(monitor, endpoint, "contact-centre-7d9f-k8k7w", "10.0.1.2")
	if err != nil {
		return []error{fmt.Errorf("PodMonitor %s: %w", monitor.Name, err)}
	}
	var wrong []error
	for _, label := range slices.Sorted(maps.Keys(first)) {
		if first[label] != second[label] {
			wrong = append(wrong, fmt.Errorf("PodMonitor %s: the label %s changes with the Pod", monitor.Name, label))
		}
	}
	return wrong
}

// target is what Prometheus calls the exporter in a Pod: what the Operator sets, then what the endpoint changes, then what
// Prometheus fills in.
func target(monitor monitoring.PodMonitor, endpoint monitoring.PodMetricsEndpoint, pod, address string) (map[string]string, error) {
	labels := map[string]string{
		"__address__":                   address + ":10110",
		"__meta_kubernetes_namespace":   monitor.Namespace,
		"__meta_kubernetes_pod_host_ip": "192.0.2" + address[strings.LastIndexByte(address, '.'):],
		"__meta_kubernetes_pod_ip":      address,
		"__meta_kubernetes_pod_name":    pod,
		"__meta_kubernetes_pod_uid":     "uid of " + pod,
		"namespace":                     monitor.Namespace,
		"container":                     "jelou-exporter",
		"pod":                           pod,
		"job":                           monitor.Namespace + "/" + monitor.Name,
		"endpoint":                      *endpoint.Port,
	}
	for _, rule := range endpoint.RelabelConfigs {
		pattern := rule.Regex
		if pattern == "" {
			pattern = "(.*)"
		}
		regex, err := regexp.Compile("^(?s:" + pattern + ")$")
		if err != nil {
			return nil, err
		}
		switch strings.ToLower(rule.Action) {
		case "", "replace":
			separator, replacement := ";", "$1"
			if rule.Separator != nil {
				separator = *rule.Separator
			}
			if rule.Replacement != nil {
				replacement = *rule.Replacement
			}
			var sources []string
			for _, name := range rule.SourceLabels {
				sources = append(sources, labels[string(name)])
			}
			source := strings.Join(sources, separator)
			if match := regex.FindStringSubmatchIndex(source); match != nil {
				labels[rule.TargetLabel] = string(regex.ExpandString(nil, replacement, source, match))
			}
		case "labeldrop":
			maps.DeleteFunc(labels, func(name, _ string) bool { return regex.MatchString(name) })
		default:
			return nil, fmt.Errorf("what relabelling by %s does is not known here", rule.Action)
		}
	}
	if labels["instance"] == "" {
		labels["instance"] = labels["__address__"]
	}
	maps.DeleteFunc(labels, func(name, value string) bool { return strings.HasPrefix(name, "__") || value == "" })
	return labels, nil
}
