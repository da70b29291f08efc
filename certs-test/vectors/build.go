package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/verify/trust"
)

// builder collects the cases.
type builder struct {
	dir       string // of the vectors
	city      city
	bases     map[string]basis
	questions []question
	whole     bool // print all of what differs
}

func build(dir string) (*builder, error) {
	b := &builder{dir: dir, city: newCity(), bases: map[string]basis{}}
	b.bases["city"] = b.city.basis()
	for _, add := range []func() error{b.verdicts, b.el1, b.elr1, b.deltas, b.trust, b.resigned} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	for i := range b.questions {
		b.questions[i].Bytes = b64(b.questions[i].body)
	}
	return b, nil
}

func (b *builder) add(q question) { b.questions = append(b.questions, q) }

// text adds both questions that one can ask of a permit's text under a basis: of the
// bytes, and of the file that holds them.
func (b *builder) text(q question, body []byte) {
	q.body = body
	q.Ask = askText
	b.add(q)
	if isPicture(body) {
		return
	}
	q.Ask = askFile
	if q.want != "" && !bytes.Equal(bytes.TrimSpace(body), body) || len(body) == 0 || !slices.Contains([]byte("E"), body[0]) {
		q.want = "" // a reader of files takes white space off, and finds texts before it finds permits
	}
	b.add(q)
}

func isPicture(body []byte) bool {
	return bytes.HasPrefix(body, []byte("\x89PNG\r\n\x1a\n")) || bytes.HasPrefix(body, []byte("\xff\xd8\xff"))
}

func (b *builder) verdicts() error {
	dir := filepath.Join(b.dir, "verdict")
	vectors, err := readVectors(dir)
	if err != nil {
		return err
	}
	for _, v := range vectors {
		at, err := time.Parse(time.RFC3339, v.head["at"])
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		named := map[string][]byte{}
		for _, key := range []string{"root", "trust", "status", "genuine"} {
			if v.head[key] == "" {
				continue
			}
			if named[key], err = os.ReadFile(filepath.Join(dir, v.head[key])); err != nil {
				return err
			}
		}
		block, _ := pem.Decode(named["root"])
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		name := "verdict/" + v.name
		b.bases[name] = basis{Pin: b64(cert.RawSubjectPublicKeyInfo), Bundle: b64(named["trust"]), Status: b64(named["status"]), Genuine: b64(named["genuine"]),
			Permit: string(v.body), Now: at.Unix()}
		q := question{Name: name, Basis: name, Now: at.Unix(), want: v.head["expect"] + " " + v.head["reason"]}
		b.text(q, v.body)
		b.permitMutants(q, v.body, nil, 24)
		readable := len(v.body) > 0 && bytes.Equal(bytes.TrimSpace(v.body), v.body) // as a file it is the same text
		if readable && len(named["trust"]) > 0 && len(named["genuine"]) == 0 {
			b.fileMutants(question{Name: name + "/bundle", Basis: name, Now: q.Now, Ask: askBundle}, named["trust"], 1)
		}
	}
	return nil
}

// permitMutants changes a permit at each of its layers, which a signature need not
// survive.
func (b *builder) permitMutants(q question, text, dict []byte, n int) {
	r := dice(q.Name)
	packed, cose := unpack(text, dict)
	q.want, q.mutant = "", true
	for i := range n {
		m := q
		m.Name = fmt.Sprintf("%s~%d", q.Name, i)
		b.text(m, permitMutant(r, text, packed, cose, dict))
	}
}

func permitMutant(r *rand.Rand, text, packed, cose, dict []byte) []byte {
	switch layer := r.IntN(8); {
	case layer < 4 && cose != nil:
		return armor(mutateCOSE(cose, r), pick(r, nil, dict))
	case layer < 6 && packed != nil:
		return base45(mutatePacked(packed, r))
	case layer == 6:
		return []byte(pick(r, "EL1:", "el1:", "EL2:", " EL1:", "EL1: ", "\ufeffEL1:", "") + string(bytes.TrimPrefix(text, []byte("EL1:"))) + pick(r, "", "\n", " ", "\u0085", "\u3000", "\ufeff", "0"))
	}
	return scratch(text, r)
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// mutateCOSE goes into the byte strings of a COSE_Sign1 as often as it changes what
// is around them.
func mutateCOSE(cose []byte, r *rand.Rand) []byte {
	t := tree(cose)
	if t == nil || t.major != 6 || len(t.kids[0].kids) != 4 || r.IntN(4) == 0 {
		return mutate(cose, r)
	}
	part := t.kids[0].kids[pick(r, 0, 2, 2, 2, 3)]
	part.text = mutate(part.text, r)
	return t.append(nil)
}

// mutatePacked aims at what a zlib stream has besides its data.
func mutatePacked(packed []byte, r *rand.Rand) []byte {
	b := slices.Clone(packed)
	if len(b) < 8 {
		return scratch(b, r)
	}
	switch r.IntN(8) {
	case 0: // another DICTID, or one where none is meant
		b[1] |= 0x20
		binary.BigEndian.PutUint16(b, fcheck(b))
		if r.IntN(2) == 0 {
			b = slices.Insert(b, 2, 1, 2, 3, byte(r.IntN(256)))
		}
	case 1: // none where one is meant
		b[1] &^= 0x20
		binary.BigEndian.PutUint16(b, fcheck(b))
	case 2: // Adler-32
		b[len(b)-1-r.IntN(4)] ^= 1 << r.IntN(8)
	case 3: // a window larger than there is
		b[0] = byte(r.IntN(16))<<4 | 8
		binary.BigEndian.PutUint16(b, fcheck(b))
	case 4: // the first block
		b[2+r.IntN(6)] ^= 1 << r.IntN(8)
	case 5:
		return append(b, byte(r.IntN(256)))
	case 6: // two streams
		return append(b, packed...)
	default:
		return scratch(b, r)
	}
	return b
}

// fcheck makes a zlib header right again.
func fcheck(b []byte) uint16 {
	n := binary.BigEndian.Uint16(b) &^ 31
	return n + (31-n%31)%31
}

// fileMutants asks of mutants of a file. One that is empty is no file.
func (b *builder) fileMutants(q question, file []byte, n int) {
	r := dice(q.Name)
	q.want, q.mutant = "", true
	for i := range n {
		m := q
		m.Name = fmt.Sprintf("%s~%d", q.Name, i)
		if m.body = mutateFile(file, r); len(m.body) > 0 {
			b.add(m)
		}
	}
}

// mutateFile goes into the byte strings of a file half of the time: a tree whose
// strings are trees.
func mutateFile(file []byte, r *rand.Rand) []byte {
	t := tree(file)
	if t == nil || r.IntN(2) == 0 {
		return mutate(file, r)
	}
	var inner []*item
	for _, i := range t.all(nil) {
		if i.major == 2 && len(i.text) > 8 && tree(i.text) != nil {
			inner = append(inner, i)
		}
	}
	if len(inner) == 0 {
		return mutate(file, r)
	}
	part := pick(r, inner...)
	part.text = mutate(part.text, r)
	return t.append(nil)
}

func (b *builder) el1() error {
	vectors, err := readVectors(filepath.Join(b.dir, "el1"))
	if err != nil {
		return err
	}
	for _, v := range vectors {
		alg, err := strconv.ParseInt(v.head["alg"], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		name := "el1/" + v.name
		dict := plain(v.head["dictionary"])
		q := question{Name: name, Ask: askPermit, Alg: alg, SPKI: v.head["spki"], Dictionary: v.head["dictionary"], body: v.body, want: v.head["expect"]}
		b.add(q)
		r := dice(name + "/permit")
		packed, cose := unpack(v.body, dict)
		for i := range 8 {
			m := q
			m.Name, m.want, m.mutant = fmt.Sprintf("%s~%d", name, i), "", true
			m.body = permitMutant(r, v.body, packed, cose, dict)
			b.add(m)
		}
		if key := pinOf(plain(v.head["spki"])); key != nil {
			w := question{Name: name, Basis: b.keyBasis(v, dict, cose), Now: now}
			b.text(w, v.body)
			b.permitMutants(w, v.body, dict, 4)
		}
	}
	return nil
}

// keyBasis is a city whose agency has the vector's key under the permit's kid.
func (b *builder) keyBasis(v vector, dict, cose []byte) string {
	spki := plain(v.head["spki"])
	alg, err := trust.AlgOf(pinOf(spki))
	if err != nil {
		panic(err)
	}
	hash := sha256.Sum256(spki)
	if i := bytes.Index(cose, []byte{4, 0x48}); i >= 0 && i+10 <= len(cose) {
		copy(hash[:], cose[i+2:i+10])
	}
	sum := sha256.Sum256(slices.Concat(spki, dict, hash[:]))
	name := "key/" + hex.EncodeToString(sum[:8])
	if _, ok := b.bases[name]; ok {
		return name
	}
	bundle, err := trust.ParseBundle(b.city.bundle)
	if err != nil {
		panic(err)
	}
	if len(dict) == 0 {
		dict = nil
	}
	bundle.Types[0].Dictionary = dict
	bundle.Keys = []trust.Key{{KID: [8]byte(hash[:8]), Alg: alg, Public: spki, CertHash: hash, Agency: "donghu-amr", State: trust.KeyActive,
		SignFrom: begin, SignUntil: begin + 365*day, VerifyUntil: begin + 20000*day}}
	base := b.city.basis()
	base.Bundle = b64(must(trust.SignBundle(bundle, trustSigner(bundleKey))))
	b.bases[name] = base
	return name
}

func (b *builder) elr1() error {
	vectors, err := readVectors(filepath.Join(b.dir, "elr1"))
	if err != nil {
		return err
	}
	for _, v := range vectors {
		body, err := hex.DecodeString(string(bytes.TrimSpace(v.body)))
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		alg, err := strconv.ParseInt(v.head["alg"], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		q := question{Name: "elr1/" + v.name, Ask: askSnapshot, Alg: alg, SPKI: v.head["spki"], body: body, want: v.head["expect"]}
		b.add(q)
		if len(body) < 1<<16 {
			b.fileMutants(q, body, 12)
		}
		if len(body) > 0 {
			b.add(question{Name: q.Name + "/status", Ask: askStatus, Basis: "city", Now: now, body: body})
		}
	}
	return nil
}

func (b *builder) trust() error {
	vectors, err := readVectors(filepath.Join(b.dir, "trust"))
	if err != nil {
		return err
	}
	for _, v := range vectors {
		at, err := strconv.ParseInt(v.head["now"], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		q := question{Name: "trust/" + v.name, Now: at, SPKI: v.head["pin"], Root: v.head["root"], body: plain(string(bytes.TrimSpace(v.body))), want: v.head["expect"]}
		q.Ask = map[string]string{"root": askRoot, "bundle": askTrust, "head": askHead}[v.head["kind"]]
		if len(q.body) > 1<<16 {
			b.add(q) // a bound of size: mutants would say nothing new
			continue
		}
		b.add(q)
		b.fileMutants(q, q.body, 8)
		if q.Ask == askTrust && len(q.body) > 0 {
			b.bases[q.Name] = basis{Pin: q.SPKI, Permit: b.city.permits["valid"], Now: at}
			c := question{Name: q.Name + "/bundle", Ask: askBundle, Basis: q.Name, Now: at, body: q.body}
			b.add(c)
		}
	}
	return nil
}

// resigned adds mutants of the city's own files that are signed again, so that they
// pass the signature and reach what stands behind it.
func (b *builder) resigned() error {
	c := b.city
	for _, name := range slices.Sorted(maps.Keys(c.permits)) {
		_, cose := unpack([]byte(c.permits[name]), dictionary)
		key := agencyKey
		if name == "stolen" {
			key = stolenKey
		}
		b.text(question{Name: "city/" + name, Basis: "city", Now: now}, []byte(c.permits[name]))
		r := dice("resigned " + name)
		for i := range 260 {
			t := tree(cose)
			parts := t.kids[0].kids
			parts[2].text = mutate(parts[2].text, r)
			if r.IntN(12) == 0 {
				parts[0].text = mutate(parts[0].text, r)
			}
			parts[3].text = signature(key, parts[0].text, []byte("EL1:"), parts[2].text)
			q := question{Name: fmt.Sprintf("city/%s~%d", name, i), Basis: "city", Now: now + int64(r.IntN(3)-1)*400*int64(day)*int64(r.IntN(2)), mutant: true}
			text := armor(t.append(nil), pick(r, nil, dictionary))
			b.text(q, text)
			q.Ask, q.Basis, q.Alg, q.SPKI, q.Dictionary, q.body = askPermit, "", permit.ES256, b64(spki(key)), b64(dictionary), text
			b.add(q)
		}
	}
	pin := b64(spki(rootKey))
	b.signed("root", question{Ask: askRoot, SPKI: pin}, c.root, rootKey, 400)
	b.signed("head", question{Ask: askHead, SPKI: pin, Root: b64(c.root)}, c.head, statusKey, 250)
	b.signed("bundle", question{Ask: askTrust, SPKI: pin}, c.bundle, bundleKey, 900)
	b.signed("bundle for the command line", question{Ask: askBundle, Basis: "city"}, c.bundle, bundleKey, 220)
	snapshot := question{Ask: askSnapshot, Alg: permit.ES256, SPKI: b64(spki(statusKey))}
	b.snapshots("snapshot", snapshot, 700)
	b.snapshots("snapshot for the command line", question{Ask: askStatus, Basis: "city"}, 180)
	return nil
}

// signed mutates the payload of a file of package trust and signs it again.
func (b *builder) signed(name string, q question, file []byte, key *ecdsa.PrivateKey, n int) {
	q.Name, q.Now, q.body = "city/"+name, now, file
	b.add(q)
	r := dice("resigned " + name)
	for i := range n {
		t := tree(file)
		payload, one := t.kids[0], t.kids[1].kids[0].kids[0].kids
		payload.text = mutate(payload.text, r)
		if r.IntN(12) == 0 {
			one[0].text = mutate(one[0].text, r)
		}
		one[3].text = signature(key, one[0].text, nil, payload.text)
		if q.Ask == askRoot {
			t.kids[1].kids = t.kids[1].kids[:1] // the next root has not signed this
			t.kids[1].kids[0].kids[0].kids[3].text = one[3].text
		}
		m := q
		m.Name, m.mutant, m.body = fmt.Sprintf("city/%s~%d", name, i), true, t.append(nil)
		b.add(m)
	}
}

// snapshots mutates the header or the body of the snapshot, mends the hash, and
// signs it again.
func (b *builder) snapshots(name string, q question, n int) {
	q.Name, q.Now, q.body = "city/"+name, now, b.city.snapshot
	b.add(q)
	r := dice("resigned " + name)
	for i := range n {
		t := tree(b.city.snapshot)
		one, body := t.kids[0].kids[0].kids, t.kids[1]
		header := tree(one[2].text)
		if r.IntN(2) == 0 {
			body.text = scratch(body.text, r)
			sum := sha256.Sum256(body.text)
			header.kids[9].text = sum[:]
			one[2].text = header.append(nil)
		} else {
			one[2].text = mutate(one[2].text, r)
		}
		one[3].text = signature(statusKey, one[0].text, nil, one[2].text)
		m := q
		m.Name, m.mutant, m.body = fmt.Sprintf("city/%s~%d", name, i), true, t.append(nil)
		b.add(m)
	}
}
