package commands

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of escrowctl",
		Long:    "Print the version of escrowctl, the commit that it was built from, and the Go version that built it.",
		Example: "  escrowctl version --output json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			view := map[string]string{"version": "unknown", "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				view["version"] = info.Main.Version
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						view["commit"] = s.Value
					}
				}
			}
			return a.printer().Value(view, func(w io.Writer) {
				fmt.Fprintf(w, "escrowctl %s %s %s %s\n", view["version"], view["commit"], view["go"], view["platform"])
			})
		},
	}
}
