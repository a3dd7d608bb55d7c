package instance

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
	"github.com/countersign-escrow/countersign/services/internal/state"
)

// The operator and its first member.
const (
	operatorID  = "operator"
	adminMember = "admin"
)

// renewBefore is how long before its end the operator's certificate is made anew at a start.
const renewBefore = 30 * 24 * time.Hour

// operatorPart sees to it that the operator is in the catalog, and where one process is the whole service, that its
// profile works.
func (s *Service) operatorPart() lifecycle.Component {
	return lifecycle.Component{
		Name: "operator",
		Start: func(ctx context.Context) (err error) {
			now := time.Now().UTC()
			if s.operator, err = registerOperator(ctx, s.catalog, s.cfg.Country, now); err != nil || s.folder == nil {
				return err
			}
			admin := admin{catalog: s.catalog, ca: s.keys.CA, operator: s.operator.Name, folder: s.folder.Operator()}
			if err := admin.renew(ctx, now); err != nil {
				return err
			}
			return admin.folder.WriteProfile(reach(s.grpc.Addr()), "https://"+reach(s.http.Addr()), s.operator.Name.String(), s.keys.CA.CertificatePEM())
		},
	}
}

func registerOperator(ctx context.Context, c *catalog.Catalog, wanted string, now time.Time) (org *catalog.Organization, err error) {
	name, err := resource.NewOrganization(operatorID)
	if err != nil {
		return nil, err
	}
	country := wanted
	if country == "" {
		country = UnknownCountry
	}
	if err := directory.CheckCountry("--operator-country", country); err != nil {
		return nil, err
	}
	err = c.Update(ctx, func(tx *catalog.Tx) error {
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
	if wanted != "" && org.Country != wanted {
		return nil, fmt.Errorf("the operator's country was set to %s at the first start and attestations say so: it cannot become %s",
			org.Country, wanted)
	}
	return org, nil
}

// admin is the operator's first member, with the folder of its profile.
type admin struct {
	catalog  *catalog.Catalog
	ca       *ca.Authority
	operator resource.Organization
	folder   state.ProfileFolder
}

// renew makes the client certificate where there is none that will count for some time to come.
func (a admin) renew(ctx context.Context, now time.Time) error {
	if ok, err := a.counts(ctx, now.Add(renewBefore)); ok || err != nil {
		return err
	}
	return a.issue(ctx, now)
}

func (a admin) issue(ctx context.Context, now time.Time) error {
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
	err = a.catalog.Update(ctx, func(tx *catalog.Tx) error {
		issued, err = directory.Issue(tx, a.ca, csr, a.operator, adminMember, now)
		return err
	})
	if err != nil {
		return err
	}
	return a.folder.WriteMember(keyPEM, issued.PEM)
}

// counts says whether the certificate in the folder will count at that time. One that a broken-off start left without its
// key, or that is not in the catalog, does not.
func (a admin) counts(ctx context.Context, then time.Time) (bool, error) {
	pair, err := tls.LoadX509KeyPair(a.folder.Certificate(), a.folder.Key())
	if err != nil || then.After(pair.Leaf.NotAfter) {
		return false, nil //nolint:nilerr // whatever is wrong with it, a new one is made
	}
	counts := false
	err = a.catalog.View(ctx, func(tx *catalog.Tx) error {
		cert, err := tx.Certificate(ca.Serial(pair.Leaf))
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		counts = err == nil && cert.Revoked.IsZero()
		return err
	})
	return counts, err
}
