// Health says what GitOps tools make of objects: health kstatus | argocd CONFIGMAP | flux KUSTOMIZATION
//
// It reads one object as JSON per line and answers each with a line {"status": ..., "message": ...}, or {"error": ...} where
// the tool would report one. kstatus is the library that kpt, cli-utils and, by default, Flux judge by. The other two run what
// users put into Argo CD's and Flux's configuration, with those tools' own rules and limits.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

type health struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Error   string `json:"error,omitempty"`
}

// A judge gives the health of one object.
type judge func(*unstructured.Unstructured) (health, error)

func main() {
	judge, err := chosen(os.Args[1:])
	if err == nil {
		err = answer(os.Stdin, os.Stdout, judge)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func chosen(args []string) (judge, error) {
	switch {
	case len(args) == 1 && args[0] == "kstatus":
		return byKstatus, nil
	case len(args) == 2 && args[0] == "argocd":
		return byArgoCD(args[1])
	case len(args) == 2 && args[0] == "flux":
		return byFlux(args[1])
	}
	return nil, errors.New("usage: health kstatus | argocd CONFIGMAP | flux KUSTOMIZATION")
}

func answer(from io.Reader, to io.Writer, judge judge) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 4<<20)
	answers := json.NewEncoder(to)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return err
		}
		found, err := judge(object)
		if err != nil {
			found = health{Error: err.Error()}
		}
		if err := answers.Encode(found); err != nil {
			return err
		}
	}
	return lines.Err()
}

func byKstatus(object *unstructured.Unstructured) (health, error) {
	found, err := status.Compute(object)
	if err != nil {
		return health{}, err
	}
	return health{Status: found.Status.String(), Message: found.Message}, nil
}
