package pipeline

import (
	"context"
	"strconv"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/verifier/policy"
)

// Input returns everything that a policy of an evaluator is evaluated over. Whether the evaluator may see the release is
// for the caller to know.
func (p *Pipeline) Input(ctx context.Context, release resource.Release, evaluator resource.Organization) (in policy.Input, err error) {
	err = p.Catalog.View(ctx, func(tx *catalog.Tx) error {
		d, err := readDossier(tx, release)
		if err != nil {
			return err
		}
		in, err = p.readInput(tx, d, evaluator)
		return err
	})
	return in, err
}

func (p *Pipeline) readInput(tx *catalog.Tx, d *dossier, evaluator resource.Organization) (policy.Input, error) {
	in := policy.Input{Release: d.Name, Manifest: d.manifest, Now: p.Now().UTC()}
	who := parties{tx: tx, known: map[resource.Organization]policy.Party{}}
	var err error
	if in.Evaluator, err = who.party(evaluator); err != nil {
		return in, err
	}
	err = eachFinding(tx, d.Name, func(row *catalog.Finding) error {
		f, err := decodeFinding(row)
		if err != nil {
			return err
		}
		by, err := who.party(row.Rebuilder)
		in.Findings = append(in.Findings, policy.Finding{Finding: f, By: by, Attestation: row.AttestationID})
		return err
	})
	if err != nil {
		return in, err
	}
	rebuilds, _, err := p.readRebuilds(tx, d.Name)
	if err != nil {
		return in, err
	}
	for _, r := range rebuilds {
		by, err := who.party(r.Rebuilder)
		if err != nil {
			return in, err
		}
		in.Rebuilds = append(in.Rebuilds, policy.Rebuild{By: by, State: policy.RebuildState(r.State)})
	}
	if len(rebuilds) == 0 && !d.ChecksComplete {
		in.Pending = []string{"the service's checks of the release"}
	}
	return in, nil
}

// parties looks up organizations' countries, each once.
type parties struct {
	tx    *catalog.Tx
	known map[resource.Organization]policy.Party
}

func (p parties) party(name resource.Organization) (policy.Party, error) {
	if known, ok := p.known[name]; ok {
		return known, nil
	}
	org, err := p.tx.Organization(name)
	if err != nil {
		return policy.Party{}, err
	}
	p.known[name] = policy.Party{Organization: name, Country: org.Country}
	return p.known[name], nil
}

// currentPolicy returns an evaluator's policy, nil if it has none.
func currentPolicy(tx *catalog.Tx, evaluator resource.Organization) (*catalog.Policy, error) {
	row, err := tx.CurrentPolicy(evaluator)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return row, err
}

// PolicyName returns the resource name of a version of a policy.
func PolicyName(row *catalog.Policy) string {
	return resource.Child{Organization: row.Organization, Collection: resource.Policies, ID: strconv.FormatInt(row.Version, 10)}.String()
}
