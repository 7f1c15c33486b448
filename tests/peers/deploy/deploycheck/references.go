package main

import (
	"fmt"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubernetes/pkg/apis/core"
	corev1conversion "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/networking"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// objects is what one file declares, as far as it refers to itself.
type objects struct {
	pods      []template
	names     map[string]bool
	selectors []selector
	monitors  []monitoring.PodMonitor
	policies  []networking.NetworkPolicy
}

// template is a Pod that a file makes.
type template struct {
	namespace string
	*core.PodTemplateSpec
}

// selector is an object that chooses Pods by their labels.
type selector struct {
	name, namespace string
	labels          map[string]string
}

func (found *objects) name(kind, name string) {
	if found.names == nil {
		found.names = map[string]bool{}
	}
	found.names[kind+" "+name] = true
}

func (found *objects) add(namespace string, pod *core.PodTemplateSpec, claims []core.PersistentVolumeClaim) {
	found.pods = append(found.pods, template{namespace, pod})
	for _, claim := range claims {
		found.name("PersistentVolumeClaim", claim.Name)
	}
}

// references holds what no single object's validation sees: that names name something in the same file, that selectors
// choose a Pod, that a new Pod goes on with the series of the old one, and that Pods keep the standard "restricted".
func (found *objects) references() (wrong []error) {
	for _, pod := range found.pods {
		for _, volume := range pod.Spec.Volumes {
			if claim := volume.PersistentVolumeClaim; claim != nil && !found.names["PersistentVolumeClaim "+claim.ClaimName] {
				wrong = append(wrong, fmt.Errorf("no PersistentVolumeClaim %s", claim.ClaimName))
			}
			if config := volume.ConfigMap; config != nil && !found.names["ConfigMap "+config.Name] {
				wrong = append(wrong, fmt.Errorf("no ConfigMap %s", config.Name))
			}
		}
		wrong = append(wrong, restricted(pod)...)
	}
	for _, selector := range found.selectors {
		if found.chosen(selector) == nil {
			wrong = append(wrong, fmt.Errorf("%s chooses no Pod", selector.name))
		}
	}
	for _, policy := range found.policies {
		wrong = append(wrong, names(policy)...)
	}
	for _, monitor := range found.monitors {
		pod := found.chosen(selector{monitor.Name, monitor.Namespace, monitor.Spec.Selector.MatchLabels})
		if pod == nil {
			wrong = append(wrong, fmt.Errorf("PodMonitor %s chooses no Pod", monitor.Name))
			continue
		}
		for _, endpoint := range monitor.Spec.PodMetricsEndpoints {
			if endpoint.Port == nil || !hasPort(pod, *endpoint.Port) {
				wrong = append(wrong, fmt.Errorf("PodMonitor %s: the Pod has no such port", monitor.Name))
				continue
			}
			wrong = append(wrong, identity(monitor, endpoint)...)
		}
	}
	return wrong
}

func (found *objects) chosen(by selector) *template {
	for index, pod := range found.pods {
		if pod.namespace == by.namespace && labels.SelectorFromSet(by.labels).Matches(labels.Set(pod.Labels)) {
			return &found.pods[index]
		}
	}
	return nil
}

func hasPort(pod *template, name string) bool {
	for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
		for _, port := range container.Ports {
			if port.Name == name {
				return true
			}
		}
	}
	return false
}

// restricted judges by the strictest of the Pod Security Standards, and beyond it by a root file system that is read-only.
func restricted(pod template) (wrong []error) {
	var external corev1.PodTemplateSpec
	if err := corev1conversion.Convert_core_PodTemplateSpec_To_v1_PodTemplateSpec(pod.PodTemplateSpec, &external, nil); err != nil {
		return []error{err}
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return []error{err}
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &external.ObjectMeta, &external.Spec) {
		if !result.Allowed {
			wrong = append(wrong, fmt.Errorf("the standard restricted forbids: %s: %s", result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	for _, container := range append(external.Spec.InitContainers, external.Spec.Containers...) {
		if context := container.SecurityContext; context == nil || context.ReadOnlyRootFilesystem == nil || !*context.ReadOnlyRootFilesystem {
			wrong = append(wrong, fmt.Errorf("container %s: its root file system is not read-only", container.Name))
		}
	}
	return wrong
}
