// Podnet is the pod network of the self-built node image: every pod gets an address of its node's podCIDR over a
// point-to-point link, every node a route to each other node's podCIDR, and traffic that leaves the pod network
// takes the node's address. It runs on each node, in the host's network, and keeps the three right.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	config  = "/etc/cni/net.d/10-podnet.conflist"
	every   = 3 * time.Second
)

type node struct {
	Metadata struct{ Name string }
	Spec     struct{ PodCIDR string }
	Status   struct {
		Addresses []struct{ Type, Address string }
	}
}

func (n node) internalIP() string {
	for _, address := range n.Status.Addresses {
		if address.Type == "InternalIP" && !strings.Contains(address.Address, ":") {
			return address.Address
		}
	}
	return ""
}

func main() {
	self, podSubnet := os.Getenv("NODE_NAME"), os.Getenv("POD_SUBNET")
	client, err := newClient()
	if err != nil {
		log.Fatal(err)
	}
	done := map[string]bool{} // what is in place, by its text: only changes are written and told
	for ; ; time.Sleep(every) {
		nodes, err := list(client)
		if err != nil {
			log.Print(err)
			continue
		}
		for _, n := range nodes {
			if err := settle(n, self, podSubnet, done); err != nil {
				log.Printf("node %s: %v", n.Metadata.Name, err)
			}
		}
	}
}

func newClient() (*http.Client, error) {
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}, nil
}

func list(client *http.Client) ([]node, error) {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return nil, err
	}
	// Version 0 is answered from the API server's cache.
	address := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	request, err := http.NewRequest(http.MethodGet, "https://"+address+"/api/v1/nodes?resourceVersion=0", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("User-Agent", "podnet")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("listing nodes: %s", response.Status)
	}
	var answer struct{ Items []node }
	return answer.Items, json.NewDecoder(response.Body).Decode(&answer)
}

func settle(n node, self, podSubnet string, done map[string]bool) error {
	cidr, ip := n.Spec.PodCIDR, n.internalIP()
	if cidr == "" || ip == "" || done[cidr+ip] {
		return nil
	}
	if n.Metadata.Name == self {
		if err := masquerade(cidr, podSubnet); err != nil {
			return err
		}
		if err := writeConfig(cidr); err != nil {
			return err
		}
	} else if err := command("", "ip", "route", "replace", cidr, "via", ip); err != nil {
		return err
	}
	log.Printf("%s: %s at %s", n.Metadata.Name, cidr, ip)
	done[cidr+ip] = true
	return nil
}

func masquerade(cidr, podSubnet string) error {
	const rules = `
add table ip podnet
delete table ip podnet
table ip podnet {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %s ip daddr != %s masquerade
	}
}
`
	return command(fmt.Sprintf(rules, cidr, podSubnet), "nft", "-f", "-")
}

// The kubelet calls the node Ready when it finds this file, so it appears whole and last.
func writeConfig(cidr string) error {
	const list = `{"cniVersion": "0.4.0", "name": "podnet", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "dataDir": "/run/podnet",
    "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
`
	draft := filepath.Join(filepath.Dir(config), ".podnet")
	if err := os.WriteFile(draft, fmt.Appendf(nil, list, cidr), 0o644); err != nil {
		return err
	}
	return os.Rename(draft, config)
}

func command(stdin, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Stdin = bytes.NewBufferString(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
