// Command deploycheck judges what is deployed by the code that would judge it there:
//
//	deploycheck compose FILE...       by the loader of Docker Compose: schema, interpolation, references; each file goes
//	                                  before those in front of it
//	deploycheck kubernetes FILE...    by the API server's own strict decoding, defaults and validation, and by the
//	                                  Pod Security Standard "restricted"; PodMonitors and PrometheusRules by the types of the Prometheus Operator
//	deploycheck extract FILE FOLDER   no check: writes the rules and dashboards that are in it into the folder
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
		fail(fmt.Errorf("usage: deploycheck compose FILE... | kubernetes FILE... | extract FILE FOLDER"))
	}
	files := os.Args[2:]
	switch os.Args[1] {
	case "compose":
		if err := checkCompose(files); err != nil {
			fail(err)
		}
	case "kubernetes":
		for _, file := range files {
			if err := checkManifests(file); err != nil {
				fail(fmt.Errorf("%s: %w", file, err))
			}
		}
	case "extract":
		if len(files) != 2 {
			fail(fmt.Errorf("extract wants a file and a folder"))
		}
		if err := extract(files[0], files[1]); err != nil {
			fail(fmt.Errorf("%s: %w", files[0], err))
		}
	default:
		fail(fmt.Errorf("no such check: %s", os.Args[1]))
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
