// Command deploycheck judges what is deployed by the code that would judge it there:
//
//	deploycheck compose FILE          by the loader of Docker Compose: schema, interpolation, references
//	deploycheck kubernetes FILE...    by the API server's own strict decoding, defaults and validation, and by the
//	                                  Pod Security Standard "restricted"; PodMonitors by the types of the Prometheus Operator
//
// A FILE of - is standard input. What is wrong goes to standard error, all of it; the exit status is 1 then.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: deploycheck compose FILE | kubernetes FILE..."))
	}
	for _, file := range os.Args[2:] {
		var err error
		switch os.Args[1] {
		case "compose":
			err = checkCompose(file)
		case "kubernetes":
			err = checkManifests(file)
		default:
			err = fmt.Errorf("no such check: %s", os.Args[1])
		}
		if err != nil {
			fail(fmt.Errorf("%s: %w", file, err))
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(file)
}
