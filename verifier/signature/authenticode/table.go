package authenticode

import (
	"bytes"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/countersign-escrow/countersign/verifier/signature/cms/signeddata"
	"github.com/countersign-escrow/countersign/verifier/signature/proof"
)

const (
	entryHeader    = 8
	pkcsSignedData = 2 // WIN_CERT_TYPE_PKCS_SIGNED_DATA
)

// splitTable returns the CMS messages in the entries (WIN_CERTIFICATE) of a certificate table, each on a multiple of 8 bytes. Whatever else
// is in the table is an error for all of them: nobody signs it, and a good signature must not lend it its name.
func splitTable(table []byte) (messages [][]byte, err error) {
	for len(table) > 0 {
		if len(messages) == maxSignatures {
			return nil, fmt.Errorf("its certificate table has more than %d entries", maxSignatures)
		}
		var message []byte
		if message, table, err = splitEntry(table); err != nil {
			return nil, fmt.Errorf("its certificate table, entry %d: %w", len(messages)+1, err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

func splitEntry(table []byte) (message, rest []byte, err error) {
	if len(table) < entryHeader {
		return nil, nil, errors.New("is cut off")
	}
	length := int64(binary.LittleEndian.Uint32(table))
	if length < entryHeader || length > int64(len(table)) {
		return nil, nil, fmt.Errorf("states %d bytes, there are %d", length, len(table))
	}
	next := min((length+7)&^7, int64(len(table)))
	if !zero(table[length:next]) {
		return nil, nil, errors.New("has something behind it that is not zero, which nobody signed")
	}
	revision, kind := binary.LittleEndian.Uint16(table[4:]), binary.LittleEndian.Uint16(table[6:])
	if kind != pkcsSignedData || revision != 0x0200 && revision != 0x0100 {
		return nil, nil, fmt.Errorf("is of type %d, revision %#x, not PKCS #7", kind, revision)
	}
	message, err = unpad(table[entryHeader:length])
	return message, table[next:], err
}

// unpad cuts a message from what fills up its entry, which must be zeros: nobody signs it, and programs are known to keep their settings
// there (CVE-2013-3900).
func unpad(b []byte) ([]byte, error) {
	var message asn1.RawValue
	rest, err := asn1.Unmarshal(b, &message)
	if err != nil {
		return nil, fmt.Errorf("has no CMS message: %w", err)
	}
	if !zero(rest) {
		return nil, fmt.Errorf("has %d bytes behind its CMS message, which nobody signed and which are not all zero", len(rest))
	}
	return message.FullBytes, nil
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// signature is one signature over the image, or why it is none.
type signature struct {
	number  int
	problem string
	message *signeddata.Message
	signer  *signeddata.Signer
	hash    crypto.Hash // by which the image was hashed
	digest  []byte
}

// oidNested is the unsigned attribute that holds further signatures over the same image.
var oidNested = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 4, 1}

// gather reads the signatures of messages and those nested in them, in the order in which they are found.
func gather(messages [][]byte) (list []*signature) {
	for at := 0; at < len(messages); at++ {
		s := &signature{number: len(list) + 1}
		list = append(list, s)
		if s.number > maxSignatures {
			s.problem = fmt.Sprintf("there are more than %d; this one and the others are not looked at", maxSignatures)
			return list
		}
		if err := s.parse(messages[at]); err != nil {
			s.problem = fmt.Sprintf("the CMS message: %.300v", err)
			continue
		}
		messages = append(slices.Clip(messages), s.signer.Unsigned(oidNested)...)
	}
	return list
}

var (
	oidIndirectData = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidImageData    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
)

// indirectData is SpcIndirectDataContent: what the content of the message is about, and its digest.
type indirectData struct {
	Data struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue `asn1:"optional"`
	}
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
}

func (s *signature) parse(der []byte) (err error) {
	if s.message, err = signeddata.Parse(der); err != nil {
		return err
	}
	if !s.message.ContentType.Equal(oidIndirectData) || len(s.message.Signers) != 1 {
		return errors.New("it is not Authenticode's: one signer of SpcIndirectDataContent")
	}
	s.signer = s.message.Signers[0]
	var data indirectData
	rest, err := asn1.Unmarshal(s.message.Element, &data)
	if err != nil || len(rest) > 0 || !data.Data.Type.Equal(oidImageData) {
		return errors.New("its SpcIndirectDataContent is not about a PE image, or cannot be read")
	}
	s.digest = data.Digest.Digest
	s.hash, err = signeddata.HashOf(data.Digest.Algorithm)
	return err
}

func merge(a, b []proof.Weakness) []proof.Weakness {
	list := slices.Concat(a, b)
	slices.Sort(list)
	return slices.Compact(list)
}
