package main

import (
	"fmt"
	"net"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/apis/networking"
)

// nodeLocal is where NodeLocal DNSCache listens on every node. Its Pods use the node's network, so that no selector means them.
var nodeLocal = net.ParseIP("169.254.20.10")

// names holds that a policy which closes the way out leaves it open to whoever resolves names: the cluster's DNS, and the cache
// on the node, both by UDP and, for long answers, by TCP.
func names(policy networking.NetworkPolicy) (wrong []error) {
	closed := false
	for _, kind := range policy.Spec.PolicyTypes {
		closed = closed || kind == networking.PolicyTypeEgress
	}
	if !closed {
		return nil
	}
	for _, protocol := range []core.Protocol{core.ProtocolUDP, core.ProtocolTCP} {
		var cluster, node bool
		for _, rule := range policy.Spec.Egress {
			if !opens(rule.Ports, protocol, 53) {
				continue
			}
			cluster = cluster || len(rule.To) == 0
			node = node || len(rule.To) == 0
			for _, peer := range rule.To {
				cluster = cluster || peer.PodSelector == nil && inNamespace(peer.NamespaceSelector, "kube-system")
				node = node || peer.IPBlock != nil && holds(*peer.IPBlock, nodeLocal)
			}
		}
		if !cluster {
			wrong = append(wrong, fmt.Errorf("NetworkPolicy %s: no name can be asked of kube-system by %s", policy.Name, protocol))
		}
		if !node {
			wrong = append(wrong, fmt.Errorf("NetworkPolicy %s: no name can be asked of %s by %s", policy.Name, nodeLocal, protocol))
		}
	}
	return wrong
}

func opens(ports []networking.NetworkPolicyPort, protocol core.Protocol, port int) bool {
	for _, open := range ports {
		if open.Protocol != nil && *open.Protocol == protocol && open.Port != nil && open.Port.IntValue() == port {
			return true
		}
	}
	return len(ports) == 0
}

func inNamespace(selector *metav1.LabelSelector, name string) bool {
	if selector == nil {
		return false
	}
	chosen, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && chosen.Matches(labels.Set{"kubernetes.io/metadata.name": name})
}

func holds(block networking.IPBlock, address net.IP) bool {
	_, network, err := net.ParseCIDR(block.CIDR)
	return err == nil && network.Contains(address)
}
