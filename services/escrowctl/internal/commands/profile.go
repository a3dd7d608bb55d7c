package commands

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign-escrow/countersign/services/escrowctl/internal/output"
	"github.com/countersign-escrow/countersign/services/escrowctl/internal/profile"
)

// profileView is a profile as it is shown.
type profileView struct {
	Name         string     `json:"name,omitempty"`
	Path         string     `json:"path,omitempty"`
	Address      string     `json:"address,omitempty"`
	Web          string     `json:"web,omitempty"`
	Organization string     `json:"organization,omitempty"`
	Ends         *time.Time `json:"certificateEnds,omitempty"`
	Error        string     `json:"error,omitempty"`
}

func viewOf(name string, p *profile.Profile, err error) profileView {
	if err != nil {
		return profileView{Name: name, Error: err.Error()}
	}
	v := profileView{Name: name, Path: p.Path, Address: p.Address, Web: p.Web, Organization: p.Organization.String()}
	if b, err := os.ReadFile(p.Certificate); err != nil {
		v.Error = err.Error()
	} else if block, _ := pem.Decode(b); block == nil {
		v.Error = p.Certificate + " holds no PEM block"
	} else if cert, err := x509.ParseCertificate(block.Bytes); err != nil {
		v.Error = err.Error()
	} else {
		v.Ends = &cert.NotAfter
	}
	return v
}

func (v profileView) ends() string {
	if v.Ends == nil {
		return ""
	}
	return v.Ends.UTC().Format(time.RFC3339)
}

func (a *app) profileCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List the profiles that are known by name",
		Long:  "List the profiles in ~/.config/countersign/profiles, each with the organization it speaks for.",
		Example: `  escrowctl profile list
  escrowctl profile list --output json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.listProfiles() },
	}
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the profile that commands would use",
		Long:  "Show the profile that other commands would use with the same --profile: address, organization and certificate.",
		Example: `  escrowctl profile show
  escrowctl profile show --profile lab-fi`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.showProfile() },
	}
	return noun("profile", "Whom escrowctl speaks to, and as whom",
		`A profile is a YAML file: the service's address, its CA, a client certificate with its key, and the organization that
the certificate speaks for. Paths in it are relative to the file.

    address: escrow.example.org:7443
    ca: ca.pem
    certificate: certificate.pem
    key: key.pem
    organization: organizations/lab-fi

--profile takes a name (a folder in ~/.config/countersign/profiles), a profile.yaml, or its folder. Without it,
COUNTERSIGN_PROFILE counts, then the profile named default. escrowctl enrol makes profiles.`, list, show)
}

func (a *app) listProfiles() error {
	entries, err := profile.List()
	if err != nil {
		return err
	}
	views := make([]profileView, len(entries))
	rows := make([][]string, len(entries))
	for i, e := range entries {
		v := viewOf(e.Name, e.Profile, e.Err)
		views[i], rows[i] = v, []string{v.Name, v.Organization, v.Address, v.ends(), v.Error}
	}
	return a.printer().Value(map[string]any{"profiles": views}, func(w io.Writer) {
		output.Table(w, []string{"NAME", "ORGANIZATION", "ADDRESS", "CERTIFICATE ENDS", "PROBLEM"}, rows)
	})
}

func (a *app) showProfile() error {
	p, err := profile.Load(a.profileFlag)
	if err != nil {
		return err
	}
	v := viewOf("", p, nil)
	return a.printer().Value(v, func(w io.Writer) {
		output.Fields(w, "profile", v.Path, "address", v.Address, "web", v.Web, "organization", v.Organization,
			"ca", p.CA, "certificate", p.Certificate, "certificate ends", v.ends(), "problem", v.Error)
	})
}
