package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/api/pod"
	"k8s.io/kubernetes/pkg/apis/apps"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	appsvalidation "k8s.io/kubernetes/pkg/apis/apps/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
	"k8s.io/kubernetes/pkg/apis/networking"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	networkingvalidation "k8s.io/kubernetes/pkg/apis/networking/validation"
	"sigs.k8s.io/yaml"
)

// decoder refuses unknown and doubled keys, converts to the API server's own types and fills in its defaults.
var decoder = serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict).UniversalDecoder()

func checkManifests(file string) error {
	text, err := read(file)
	if err != nil {
		return err
	}
	var found objects
	var wrong []error
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var kind struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
		}
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return err
		}
		if kind.Kind == "" {
			continue // comments only
		}
		name := kind.Kind + " " + kind.Metadata.Name
		if err := found.check(kind.APIVersion, kind.Kind, document); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
		fmt.Printf("%s: %s\n", file, name)
	}
	if len(found.pods) == 0 {
		wrong = append(wrong, errors.New("there is no Pod in it"))
	}
	return errors.Join(append(wrong, found.references()...)...)
}

// check validates one object and keeps it.
func (found *objects) check(version, kind string, document []byte) error {
	if version == monitoring.SchemeGroupVersion.String() {
		switch kind {
		case monitoring.PodMonitorsKind:
			var monitor monitoring.PodMonitor
			if err := yaml.UnmarshalStrict(document, &monitor); err != nil {
				return err
			}
			found.monitors = append(found.monitors, monitor)
			return nil
		case monitoring.PrometheusRuleKind:
			// What the rules say is for promtool to judge.
			return yaml.UnmarshalStrict(document, &monitoring.PrometheusRule{})
		default:
			return fmt.Errorf("no validation is known for %s", kind)
		}
	}
	object, _, err := decoder.Decode(document, nil, nil)
	if err != nil {
		return err
	}
	return found.validate(object).ToAggregate()
}

// validate is what the API server does when the object is created.
func (found *objects) validate(object runtime.Object) field.ErrorList {
	switch object := object.(type) {
	case *apps.Deployment:
		found.add(object.Namespace, &object.Spec.Template, nil)
		return append(appsvalidation.ValidateDeployment(object, pod.GetValidationOptionsFromPodTemplate(&object.Spec.Template, nil)),
			one(object.Spec.Replicas, object.Spec.Strategy.Type == apps.RecreateDeploymentStrategyType)...)
	case *apps.StatefulSet:
		found.add(object.Namespace, &object.Spec.Template, object.Spec.VolumeClaimTemplates)
		options := pod.GetValidationOptionsFromPodTemplate(&object.Spec.Template, nil)
		return append(appsvalidation.ValidateStatefulSet(object, appsvalidation.StatefulSetValidationOptions{}, options),
			one(object.Spec.Replicas, true)...)
	case *core.PersistentVolumeClaim:
		found.name("PersistentVolumeClaim", object.Name)
		return corevalidation.ValidatePersistentVolumeClaim(object, corevalidation.ValidationOptionsForPersistentVolumeClaim(object, nil))
	case *core.ConfigMap:
		found.name("ConfigMap", object.Name)
		return corevalidation.ValidateConfigMap(object)
	case *core.Service:
		found.selectors = append(found.selectors, selector{"Service " + object.Name, object.Namespace, object.Spec.Selector})
		if object.Spec.ClusterIP == core.ClusterIPNone {
			object.Spec.ClusterIPs = []string{core.ClusterIPNone} // as the API server does before it validates
		}
		return corevalidation.ValidateServiceCreate(object)
	case *networking.NetworkPolicy:
		found.selectors = append(found.selectors, selector{"NetworkPolicy " + object.Name, object.Namespace, object.Spec.PodSelector.MatchLabels})
		found.policies = append(found.policies, *object)
		return networkingvalidation.ValidateNetworkPolicy(object, networkingvalidation.NetworkPolicyValidationOptions{})
	default:
		return field.ErrorList{field.InternalError(nil, fmt.Errorf("no validation is known for %T", object))}
	}
}

// one holds that there is one exporter at a time: two would count everything twice, and one state opens once.
func one(replicas int32, ends bool) field.ErrorList {
	if replicas != 1 || !ends {
		return field.ErrorList{field.Forbidden(field.NewPath("spec"), "more than one exporter at a time")}
	}
	return nil
}
