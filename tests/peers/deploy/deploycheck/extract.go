package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// extract writes what Prometheus and Grafana would get of the manifests into a folder: the rules of each PrometheusRule, and
// what is in each ConfigMap of dashboards.
func extract(file, folder string) error {
	text, err := read(file)
	if err != nil {
		return err
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return err
		}
		switch kind.Kind {
		case monitoring.PrometheusRuleKind:
			var rule monitoring.PrometheusRule
			if err := yaml.UnmarshalStrict(document, &rule); err != nil {
				return err
			}
			spec, err := yaml.Marshal(rule.Spec)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(folder, rule.Name+".yml"), spec, 0o644); err != nil {
				return err
			}
		case "ConfigMap":
			var config corev1.ConfigMap
			if err := yaml.UnmarshalStrict(document, &config); err != nil {
				return err
			}
			if config.Labels["grafana_dashboard"] != "1" {
				continue
			}
			for name, data := range config.Data {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(data), 0o644); err != nil {
					return err
				}
			}
		}
	}
}
