package embedded

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/countersign-escrow/countersign/escrow/catalog"
	"github.com/countersign-escrow/countersign/escrow/fault"
	"github.com/countersign-escrow/countersign/escrow/resource"
	"github.com/countersign-escrow/countersign/services/internal/ca"
	"github.com/countersign-escrow/countersign/services/internal/directory"
	"github.com/countersign-escrow/countersign/services/internal/lifecycle"
)

// The operator and its first member.
const (
	operatorID  = "operator"
	adminMember = "admin"
)

// renewBefore is how long before its end the operator's certificate is made anew at a start.
const renewBefore = 30 * 24 * time.Hour

// operatorPart sees to it that the operator is in the catalog, and that its profile works.
func (s *Service) operatorPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "operator",
		Start: func(ctx context.Context) (err error) {
			now := time.Now().UTC()
			if s.operator, err = s.registerOperator(ctx, now); err != nil {
				return err
			}
			if err := s.renewAdmin(ctx, now); err != nil {
				return err
			}
			return s.state.WriteProfile(reach(s.grpc.Addr()), "https://"+reach(s.http.Addr()), s.operator.Name.String())
		},
	}
}

func (s *Service) registerOperator(ctx context.Context, now time.Time) (org *catalog.Organization, err error) {
	name, err := resource.NewOrganization(operatorID)
	if err != nil {
		return nil, err
	}
	country := s.cfg.Country
	if country == "" {
		country = UnknownCountry
	}
	if err := directory.CheckCountry("--operator-country", country); err != nil {
		return nil, err
	}
	err = s.catalog.Update(ctx, func(tx *catalog.Tx) error {
		org, err = tx.Organization(name)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		org = &catalog.Organization{Name: name, Kind: catalog.Operator, Country: country, DisplayName: "Operator", Created: now}
		return tx.InsertOrganization(*org)
	})
	if err != nil {
		return nil, err
	}
	if s.cfg.Country != "" && org.Country != s.cfg.Country {
		return nil, fmt.Errorf("the operator's country was set to %s at the first start and attestations say so: it cannot become %s",
			org.Country, s.cfg.Country)
	}
	return org, nil
}

// renewAdmin makes the operator's client certificate where there is none that will count for some time to come.
func (s *Service) renewAdmin(ctx context.Context, now time.Time) error {
	if ok, err := s.adminCounts(ctx, now.Add(renewBefore)); ok || err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	keyPEM, err := ca.EncodeKey(key)
	if err != nil {
		return err
	}
	csr, err := ca.NewRequest(key)
	if err != nil {
		return err
	}
	var issued *ca.Issued
	err = s.catalog.Update(ctx, func(tx *catalog.Tx) error {
		issued, err = directory.Issue(tx, s.state.CA, csr, s.operator.Name, adminMember, now)
		return err
	})
	if err != nil {
		return err
	}
	return s.state.WriteMember(keyPEM, issued.PEM)
}

// adminCounts says whether the certificate in the operator's folder will count at that time. One that a broken-off start
// left without its key, or that is not in the catalog, does not.
func (s *Service) adminCounts(ctx context.Context, then time.Time) (bool, error) {
	pair, err := tls.LoadX509KeyPair(s.state.CertificatePath(), s.state.MemberKeyPath())
	if err != nil || then.After(pair.Leaf.NotAfter) {
		return false, nil //nolint:nilerr // whatever is wrong with it, a new one is made
	}
	counts := false
	err = s.catalog.View(ctx, func(tx *catalog.Tx) error {
		cert, err := tx.Certificate(ca.Serial(pair.Leaf))
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		counts = err == nil && cert.Revoked.IsZero()
		return err
	})
	return counts, err
}
