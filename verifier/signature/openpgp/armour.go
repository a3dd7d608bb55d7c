package openpgp

import (
	"bytes"
	"fmt"
	"io"
	"iter"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

const (
	begin = "-----BEGIN PGP "
	end   = "-----END PGP "
	dash  = "-----"
)

// block is the content of one piece of armour, such as PGP SIGNATURE.
type block struct {
	label   string
	content []byte
}

// lines gives each line of b with its offset, its end left out.
func lines(b []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for at := 0; at < len(b); {
			n := bytes.IndexByte(b[at:], '\n') + 1
			if n == 0 {
				n = len(b) - at
			}
			if !yield(at, bytes.TrimSuffix(bytes.TrimSuffix(b[at:at+n], []byte("\n")), []byte("\r"))) {
				return
			}
			at += n
		}
	}
}

// label returns what a BEGIN or END line begins or ends, "" for another line.
func label(line []byte, prefix string) string {
	line = bytes.TrimRight(line, " \t")
	if !bytes.HasPrefix(line, []byte(prefix)) || !bytes.HasSuffix(line, []byte(dash)) || len(line) < len(prefix)+len(dash) {
		return ""
	}
	return "PGP " + string(line[len(prefix):len(line)-len(dash)])
}

// armoured says whether any armour begins in b.
func armoured(b []byte) bool {
	for _, line := range lines(b) {
		if label(line, begin) != "" {
			return true
		}
	}
	return false
}

// blocks returns all armour in b, and where the last of it ends. What stands outside, and in armour headers, is no content.
func blocks(b []byte) (list []block, err error) {
	start, open := 0, ""
	for at, line := range lines(b) {
		begins, ends := label(line, begin), label(line, end)
		switch {
		case open == "" && begins == "":
		case open == "":
			start, open = at, begins
		case begins != "" || len(line) > maxArmourLine || ends != "" && ends != open:
			return nil, fmt.Errorf("byte %d: the armour is broken", at)
		case ends != "":
			one, err := dearmour(b[start:at+len(line)], open)
			if err != nil {
				return nil, fmt.Errorf("byte %d: %w", start, err)
			}
			list, open = append(list, one), ""
		}
	}
	if open != "" {
		return nil, fmt.Errorf("byte %d: the armour is cut off: it has no END line", start)
	}
	return list, nil
}

func dearmour(b []byte, label string) (block, error) {
	decoded, err := armor.Decode(bytes.NewReader(b))
	if err != nil || decoded.Type != label {
		return block{}, fmt.Errorf("the armour is broken")
	}
	content, err := io.ReadAll(decoded.Body)
	if err != nil {
		return block{}, fmt.Errorf("the armour is broken: %.100q", err.Error())
	}
	return block{label, content}, nil
}

// ArmourKeys writes the certificates of a binary key ring as armoured text.
func ArmourKeys(ring []byte) (string, error) {
	var out bytes.Buffer
	w, err := armor.Encode(&out, "PGP PUBLIC KEY BLOCK", nil)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(ring); err != nil {
		return "", err
	}
	err = w.Close()
	return out.String() + "\n", err
}
