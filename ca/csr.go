package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// MaxCSR bounds a certificate request, PEM or DER, in bytes.
const MaxCSR = 16 << 10

// What a request may ask for without being refused. Nothing of it is copied: the
// profile decides.
var (
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// signatures are the algorithms that prove possession. Go would also take SHA-1
// in requests.
var signatures = []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS}

// badCSR refuses a request, with the end of a sentence in each language.
func badCSR(zh, en string) error { return web.Refuse(fault.Invalid, textOfCSR(zh, en)) }

func textOfCSR(zh, en string) web.Text {
	return web.Text{ZH: "证书请求" + zh, EN: "the certificate request " + en}
}

// brokenCSR does the same, with what is behind it.
func brokenCSR(zh, en string, cause error) error {
	text := textOfCSR(zh, en)
	return web.Explain(fault.Wrap(fault.Invalid, text.EN, cause), text)
}

// ParseCSR reads a certificate request (RFC 2986) in DER, or as the one block of a
// PEM file, for a certificate of the given profile. It fails with kind TooLarge
// beyond MaxCSR, and with kind Invalid for anything that is not one whole request,
// a key that the profile does not accept, a signature that does not prove
// possession of the key, and a wish that would not be fulfilled: being a CA, other
// uses, names, foreign extensions.
func ParseCSR(kind profile.Kind, b []byte) (*x509.CertificateRequest, error) {
	r, err := readCSR(kind, b)
	if err == nil {
		err = checkPossession(r)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// checkPossession verifies the signature of a request.
func checkPossession(r *x509.CertificateRequest) error {
	if err := r.CheckSignature(); err != nil {
		return brokenCSR("的签名无效，不能证明持有私钥", "does not prove possession of its key", err)
	}
	return nil
}

// readCSR is ParseCSR but for the signature, which whoever calls it must verify.
func readCSR(kind profile.Kind, b []byte) (*x509.CertificateRequest, error) {
	if len(b) > MaxCSR {
		return nil, web.Refuse(fault.TooLarge, textOfCSR(fmt.Sprintf("超过 %d 字节", MaxCSR), fmt.Sprintf("is larger than %d bytes", MaxCSR)))
	}
	der, err := unwrapCSR(b)
	if err != nil {
		return nil, err
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, brokenCSR("不是 PKCS #10 格式，或已损坏", "is no PKCS #10 in DER", err)
	}
	if r.Version != 0 {
		return nil, badCSR("的版本不是 1", "is not of version 1")
	}
	if err := profile.CheckKey(kind, r.PublicKey); err != nil {
		return nil, badCSR("的密钥不被接受：类型或长度不符合此用途，或属于已知的弱密钥", "has a key that is refused: "+err.Error())
	}
	if err := checkWishes(kind, r); err != nil {
		return nil, err
	}
	if !slices.Contains(signatures, r.SignatureAlgorithm) {
		return nil, badCSR("的签名算法不被接受", "is signed with an algorithm that is not accepted")
	}
	return r, nil
}

// unwrapCSR takes the DER out of a PEM file that holds one request and nothing
// else.
func unwrapCSR(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("-----BEGIN")) {
		return b, nil
	}
	block, rest := pem.Decode(b)
	switch {
	case block == nil:
		return nil, badCSR("不是完整的 PEM 文件", "is no PEM")
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, badCSR("是其他类型的 PEM 文件", "is PEM of another type")
	case len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 || bytes.Count(b, []byte("-----BEGIN")) > 1:
		return nil, badCSR("除一个 PEM 块外还有其他内容", "has something beside its one PEM block")
	}
	return block.Bytes, nil
}

// checkWishes refuses every extension that asks for more than a profile gives.
func checkWishes(kind profile.Kind, r *x509.CertificateRequest) error {
	rules, _ := kind.Rules()
	seen := map[string]bool{}
	for _, e := range r.Extensions {
		if seen[e.Id.String()] {
			return badCSR("重复包含扩展项 "+e.Id.String(), "has an extension twice: "+e.Id.String())
		}
		seen[e.Id.String()] = true
		switch {
		case e.Id.Equal(oidBasicConstraints):
			if !bytes.Equal(e.Value, []byte{0x30, 0x00}) { // an empty sequence: CA:FALSE in DER
				return badCSR("要求成为签发机构（CA）", "asks to become a CA")
			}
		case e.Id.Equal(oidKeyUsage):
			// Bit 0 is digitalSignature, bit 1 contentCommitment (RFC 5280 section 4.2.1.3).
			var bits asn1.BitString
			if rest, err := asn1.Unmarshal(e.Value, &bits); err != nil || len(rest) > 0 || bits.BitLength < 1 || bits.BitLength > 2 {
				return badCSR("要求签名以外的密钥用途", "asks for another key usage than signatures")
			}
		case e.Id.Equal(oidExtKeyUsage):
			var uses []asn1.ObjectIdentifier
			if rest, err := asn1.Unmarshal(e.Value, &uses); err != nil || len(rest) > 0 || !slices.EqualFunc(uses, rules.Extended, asn1.ObjectIdentifier.Equal) {
				return badCSR("要求的扩展密钥用途与所选用途不符", "asks for another extended key usage than its profile has")
			}
		case e.Id.Equal(oidSubjectAltName) && rules.Hosts:
			if !namesHosts(e.Value) {
				return badCSR("含有域名和 IP 地址以外的名称", "names something else than hosts")
			}
		case e.Id.Equal(oidSubjectKeyID):
		default:
			return badCSR("要求不予签发的扩展项 "+e.Id.String(), "asks for an extension that is not given: "+e.Id.String())
		}
	}
	return nil
}

// namesHosts reports whether a subject alternative name (RFC 5280 section 4.2.1.6) holds
// DNS names and IP addresses, and nothing else. crypto/x509 shows mail addresses and
// URIs, and passes over other kinds of names.
func namesHosts(value []byte) bool {
	var names []asn1.RawValue
	rest, err := asn1.Unmarshal(value, &names)
	return err == nil && len(rest) == 0 && len(names) > 0 && !slices.ContainsFunc(names, func(n asn1.RawValue) bool {
		return n.Class != asn1.ClassContextSpecific || n.Tag != 2 && n.Tag != 7 // dNSName, iPAddress
	})
}
