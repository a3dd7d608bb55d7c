package attest

import (
	"errors"
	"fmt"
)

// checkStamp checks the time stamp by every authority of the trusted root: signature, certificates at the stamp's own time, sole
// critical use, the authority's period, and that it is over this signature.
func (v *verification) checkStamp() (string, error) {
	stamped := v.bundle.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()[0].GetSignedTimestamp()
	problems := []error{errors.New("no authority of the trusted root made it")}
	for _, authority := range v.trusted.TimestampingAuthorities() {
		t, err := authority.Verify(stamped, v.envelope.signature)
		if err == nil {
			v.out.Time = t.Time.UTC()
			return fmt.Sprintf("A time-stamp authority of the trusted root saw the signature at %s.", stamp(t.Time)), nil
		}
		problems = append(problems, err)
	}
	return "", errors.Join(problems...)
}

// checkLogPeriod checks the period of the log's key at the only time that is proved.
func (v *verification) checkLogPeriod() (string, error) {
	from, until := v.log.ValidityPeriodStart, v.log.ValidityPeriodEnd
	if v.out.Time.Before(from) {
		return "", fmt.Errorf("the key of %s counts from %s, and the statement was signed at %s", v.out.Origin, stamp(from), stamp(v.out.Time))
	}
	if !until.IsZero() && v.out.Time.After(until) {
		return "", fmt.Errorf("the key of %s counted until %s, and the statement was signed at %s", v.out.Origin, stamp(until), stamp(v.out.Time))
	}
	return fmt.Sprintf("The key of %s counted at that time.", v.out.Origin), nil
}
