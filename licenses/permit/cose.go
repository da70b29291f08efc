package permit

import (
	"maps"
	"slices"
)

// Keys of the payload (RFC 8392 section 4, RFC 8747 section 3) and our own two,
// from the range for private use.
const (
	claimExp    = 4
	claimNbf    = 5
	claimIat    = 6
	claimCti    = 7
	claimCnf    = 8
	claimFields = -70000
	claimStatus = -70001

	cnfCOSEKey = 1
)

// appendProtected appends the protected header: {1: alg, 4: kid}.
func appendProtected(b []byte, alg int64, kid [8]byte) []byte {
	b = append(appendHead(b, majorMap, 2), 1)
	b = append(appendInt(b, alg), 4)
	return appendBytes(b, kid[:])
}

// appendPayload appends the claims in deterministic order.
func appendPayload(b []byte, c Claims) []byte {
	pairs := uint64(6)
	if c.Confirmation != nil {
		pairs++
	}
	b = appendHead(b, majorMap, pairs)
	b = appendUint(append(b, claimExp), uint64(c.Expires))
	b = appendUint(append(b, claimNbf), uint64(c.NotBefore))
	b = appendUint(append(b, claimIat), uint64(c.IssuedAt))
	b = appendBytes(append(b, claimCti), c.ID[:])
	if c.Confirmation != nil {
		b = append(append(b, claimCnf), 0xA1, cnfCOSEKey)
		b = append(b, c.Confirmation...)
	}
	b = appendFields(appendInt(b, claimFields), c)
	b = appendHead(appendInt(b, claimStatus), majorArray, 2)
	b = appendUint(b, uint64(c.Status.List))
	return appendUint(b, uint64(c.Status.Index))
}

func appendFields(b []byte, c Claims) []byte {
	b = appendHead(b, majorMap, uint64(firstField+len(c.Fields)))
	b = appendUint(append(b, 0), c.Type)
	b = appendText(append(b, 1), c.Number)
	b = appendText(append(b, 2), c.HolderName)
	b = appendText(append(b, 3), c.HolderID)
	for _, no := range slices.Sorted(maps.Keys(c.Fields)) {
		b = appendUint(b, no)
		switch v := c.Fields[no].(type) {
		case string:
			b = appendText(b, v)
		case uint64:
			b = appendUint(b, v)
		case int64:
			b = appendInt(b, v)
		}
	}
	return b
}

// appendCOSE appends the tagged COSE_Sign1.
func appendCOSE(b, protected, payload, signature []byte) []byte {
	b = append(b, 0xD2, 0x84) // tag 18, array of 4
	b = appendBytes(b, protected)
	b = append(b, 0xA0) // no unprotected header
	b = appendBytes(b, payload)
	return appendBytes(b, signature)
}

// sigStructure returns what is signed (RFC 9052 section 4.4). The prefix is the
// external_aad, and never empty or null.
func sigStructure(protected, payload []byte) []byte {
	b := make([]byte, 0, len(protected)+len(payload)+32)
	b = appendText(append(b, 0x84), "Signature1")
	b = appendBytes(b, protected)
	b = appendBytes(b, []byte(Prefix))
	return appendBytes(b, payload)
}

// parseCOSE reads a COSE_Sign1 into a permit that keeps b.
func parseCOSE(b []byte) (*Permit, error) {
	p := &Permit{cose: b}
	r := reader{b: b}
	r.literal(0xD2, 0x84)
	p.protected = r.string(majorBytes, 32)
	r.literal(0xA0)
	p.payload = r.string(majorBytes, MaxInflated)
	p.signature = r.string(majorBytes, maxSignature)
	if !r.done() {
		return nil, malformed("not the COSE_Sign1 of a permit")
	}
	if !p.parseProtected() {
		return nil, malformed("protected header")
	}
	if !p.parsePayload() {
		return nil, malformed("payload")
	}
	return p, nil
}

func (p *Permit) parseProtected() bool {
	r := reader{b: p.protected}
	r.literal(0xA2, 1)
	p.Alg = r.int(1 << 16)
	r.literal(4, 0x48)
	if r.bad || len(r.b) != len(p.KID) {
		return false
	}
	p.KID = [8]byte(r.b)
	a, ok := findAlgorithm(p.Alg)
	return ok && len(p.signature) == a.size
}

func (p *Permit) parsePayload() bool {
	r := reader{b: p.payload}
	pairs := r.head(majorMap, 7)
	r.literal(claimExp)
	p.Expires = int64(r.uint(maxTime))
	r.literal(claimNbf)
	p.NotBefore = int64(r.uint(maxTime))
	r.literal(claimIat)
	p.IssuedAt = int64(r.uint(maxTime))
	r.literal(claimCti, 0x50)
	copy(p.ID[:], r.take(uint64(len(p.ID))))
	if pairs == 7 {
		r.literal(claimCnf, 0xA1, cnfCOSEKey)
		p.Confirmation = r.take(uint64(coseKeyLen(r.b)))
	}
	r.literal(0x3A, 0x00, 0x01, 0x11, 0x6F) // -70000
	r.fields(&p.Claims)
	r.literal(0x3A, 0x00, 0x01, 0x11, 0x70, 0x82) // -70001, array of 2
	p.Status.List = uint32(r.uint(maxList))
	p.Status.Index = uint32(r.uint(maxIndex))
	return r.done() && pairs >= 6 && p.NotBefore < p.Expires
}

// fields reads the map of type, number, holder and the type's own fields, whose
// numbers must rise.
func (r *reader) fields(c *Claims) {
	pairs := r.head(majorMap, firstField+maxFields)
	r.literal(0)
	c.Type = r.uint(maxInteger)
	r.literal(1)
	c.Number = r.text(maxNumber)
	r.literal(2)
	c.HolderName = r.text(maxName)
	r.literal(3)
	c.HolderID = r.text(maxHolderID)
	if pairs < firstField {
		r.fail()
	}
	if r.bad || pairs == firstField {
		return
	}
	c.Fields = make(map[uint64]any, pairs-firstField)
	last := uint64(firstField - 1)
	for range pairs - firstField {
		no := r.uint(maxField)
		if no <= last {
			r.fail()
			return
		}
		last = no
		c.Fields[no] = r.value()
	}
}

// value reads text or an integer.
func (r *reader) value() any {
	switch r.major() {
	case majorText:
		return r.text(maxText)
	case majorNint:
		return r.int(maxInteger)
	}
	return r.uint(maxInteger)
}
