package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// checkCompose loads the files as `docker compose` does, and looks for what that finds only when it starts: a mounted
// file that is not there, which Docker would make as an empty folder, and an image that is not pinned.
func checkCompose(files []string) error {
	options, err := cli.NewProjectOptions(files, cli.WithInterpolation(true), cli.WithResolvedPaths(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range project.ServiceNames() {
		service := project.Services[name]
		if tag := service.Image[strings.LastIndex(service.Image, ":")+1:]; service.Build == nil && (tag == service.Image || tag == "latest") {
			wrong = append(wrong, fmt.Errorf("service %s: the image %s has no version", name, service.Image))
		}
		for _, volume := range service.Volumes {
			if volume.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				wrong = append(wrong, fmt.Errorf("service %s mounts at %s: %w", name, volume.Target, err))
			}
		}
		fmt.Printf("service %s\n", name)
	}
	return errors.Join(wrong...)
}
