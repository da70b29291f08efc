package verify_test

import (
	"crypto/elliptic"
	"strings"
	"time"

	"github.com/signet-city/signet/licenses/permit"
)

// scene is a vector before the files that all share are filled in.
type scene struct {
	name, expect, reason, comment string
	text                          string
	at                            int64             // 0 is now
	files                         map[string]string // in place of the usual; "" is none
}

// makeVectors returns every vector by its name.
func makeVectors() map[string]vector {
	all := map[string]vector{}
	for _, group := range [][]scene{validScenes(), dateScenes(), statusScenes(), issuerScenes(), stolenScenes(), formScenes(), unknownScenes()} {
		for _, s := range group {
			if _, ok := all[s.name]; ok {
				panic("two vectors named " + s.name)
			}
			all[s.name] = s.vector()
		}
	}
	return all
}

func (s scene) vector() vector {
	file := func(kind, usual string) string {
		if name, ok := s.files[kind]; ok {
			return name
		}
		return usual
	}
	at := s.at
	if at == 0 {
		at = now
	}
	return vector{
		expect: s.expect, reason: s.reason, comment: s.comment, at: time.Unix(at, 0).UTC(), text: s.text,
		root: file("root", "root.pem"), trust: file("trust", "bundle.cbor"), status: file("status", "status.elr1"), genuine: file("genuine", ""),
	}
}

func validScenes() []scene {
	return []scene{
		{name: "valid", expect: "valid", comment: "a firm's permit by its district", text: mustPermit(honest(), donghu.signer, nil)},
		{name: "valid_dictionary", expect: "valid", comment: "with the dictionary of its type", text: mustPermit(honest(), donghu.signer, foodDictionary)},
		{name: "valid_person", expect: "valid", comment: "a person's permit", text: mustPermit(teacher(nil), school.signer, nil)},
		{name: "valid_city_in_district", expect: "valid", comment: "a city's agency with authority in a district", text: mustPermit(honest(), city.signer, nil)},
		{name: "valid_standby_key", expect: "valid", comment: "signed by the published standby key, after an emergency that this bundle does not know yet", text: mustPermit(honest(), standby.signer, nil)},
		{name: "valid_retired_key", expect: "valid", comment: "signed by a retired key while it was in use", text: mustPermit(claims(func(c *permit.Claims) { c.Expires = begin + 390*day }), retired.signer, nil)},
		{name: "valid_genuine", expect: "valid", comment: "signed by a stolen key before the theft, and on its genuine list", files: map[string]string{"genuine": "genuine.bin"}, text: mustPermit(honest(), stolen.signer, nil)},
		{name: "valid_first_second", expect: "valid", comment: "now is nbf", text: mustPermit(claims(func(c *permit.Claims) { c.NotBefore = now }), donghu.signer, nil)},
		{name: "valid_last_second", expect: "valid", comment: "23:59:59 in Shanghai of the last day", text: mustPermit(claims(func(c *permit.Claims) { c.Expires = now + 1 }), donghu.signer, nil)},
		{name: "valid_status_as_old_as_allowed", expect: "valid", comment: "the status is exactly as old as the type allows", at: asOf + 7*day, text: mustPermit(honest(), donghu.signer, nil)},
		{name: "valid_issued_within_skew", expect: "valid", comment: "issued 300 seconds after now, by a clock that is ahead", text: mustPermit(claims(func(c *permit.Claims) { c.IssuedAt = now + 300 }), donghu.signer, nil)},
		{name: "valid_newer_field", expect: "valid", comment: "a field and a code that this bundle does not know yet", text: mustPermit(claims(func(c *permit.Claims) {
			c.Fields[5], c.Fields[77] = uint64(9), "新"
		}), donghu.signer, nil)},
		{name: "valid_authority_first_second", expect: "valid", comment: "iat is the first second of the authority", text: mustPermit(teacher(func(c *permit.Claims) { c.IssuedAt = begin + 20*day }), school.signer, nil)},
	}
}

func dateScenes() []scene {
	ends := mustPermit(claims(func(c *permit.Claims) { c.Expires = now }), donghu.signer, nil)
	return []scene{
		{name: "expired", expect: "expired", reason: "past_end", comment: "now is exp, 24:00 in Shanghai of the last day", text: ends},
		{name: "expired_without_status", expect: "expired", reason: "past_end", comment: "no status is needed to know", files: map[string]string{"status": ""}, text: ends},
		{name: "expired_revoked", expect: "expired", reason: "past_end", comment: "expired and revoked: the end comes first", text: mustPermit(claims(func(c *permit.Claims) {
			c.Expires, c.Status.Index = now, revokedIndex
		}), donghu.signer, nil)},
		{name: "expired_key", expect: "expired", reason: "key_past_verify_until", comment: "the key's verify until is past, and the permit's exp is later, against the rules", text: mustPermit(honest(), shortLived.signer, nil)},
		{name: "not_yet_valid", expect: "not_yet_valid", reason: "before_start", comment: "one second before nbf", text: mustPermit(claims(func(c *permit.Claims) { c.NotBefore = now + 1 }), donghu.signer, nil)},
		{name: "not_yet_valid_issued_later", expect: "not_yet_valid", reason: "issued_after_now", comment: "issued 301 seconds after now", text: mustPermit(claims(func(c *permit.Claims) { c.IssuedAt = now + 301 }), donghu.signer, nil)},
	}
}

func statusScenes() []scene {
	good := mustPermit(honest(), donghu.signer, nil)
	revoked := mustPermit(claims(func(c *permit.Claims) { c.Status.Index = revokedIndex }), donghu.signer, nil)
	suspended := mustPermit(claims(func(c *permit.Claims) { c.Status.Index = suspendedIndex }), donghu.signer, nil)
	return []scene{
		{name: "revoked", expect: "revoked", reason: "listed_revoked", comment: "listed as revoked", text: revoked},
		{name: "revoked_person", expect: "revoked", reason: "listed_revoked", comment: "a person's permit, listed as revoked", text: mustPermit(teacher(func(c *permit.Claims) { c.Status.Index = 500_000 }), school.signer, nil)},
		{name: "suspended", expect: "suspended", reason: "listed_suspended", comment: "listed as suspended", text: suspended},
		{name: "undetermined_no_status", expect: "undetermined", reason: "no_status", comment: "there is no snapshot", files: map[string]string{"status": ""}, text: good},
		{name: "undetermined_no_status_revoked", expect: "undetermined", reason: "no_status", comment: "revoked, and there is no snapshot to say so", files: map[string]string{"status": ""}, text: revoked},
		{name: "undetermined_status_damaged", expect: "undetermined", reason: "status_refused", comment: "one bit of the snapshot changed", files: map[string]string{"status": "status-damaged.elr1"}, text: good},
		{name: "undetermined_status_by_stranger", expect: "undetermined", reason: "status_refused", comment: "a snapshot by a key that the root does not permit", files: map[string]string{"status": "status-stranger.elr1"}, text: good},
		{name: "undetermined_status_by_bundle_signer", expect: "undetermined", reason: "status_refused", comment: "a snapshot by a trust-list signer", files: map[string]string{"status": "status-by-bundle.elr1"}, text: revoked},
		{name: "undetermined_status_old", expect: "undetermined", reason: "status_too_old", comment: "one second older than the type allows", at: asOf + 7*day + 1, text: good},
		{name: "undetermined_status_old_revoked", expect: "undetermined", reason: "status_too_old_listed", comment: "an old snapshot lists it as revoked", at: asOf + 7*day + 1, text: revoked},
		{name: "undetermined_status_old_suspended", expect: "undetermined", reason: "status_too_old_listed", comment: "an old snapshot lists it as suspended", at: asOf + 7*day + 1, text: suspended},
		{name: "undetermined_status_expired", expect: "undetermined", reason: "status_too_old", comment: "the type would allow 30 days, and the snapshot's own exp is past", at: asOf + 14*day, text: mustPermit(teacher(nil), school.signer, nil)},
		{name: "undetermined_list_not_covered", expect: "undetermined", reason: "list_not_covered", comment: "the snapshot does not cover list 2", text: mustPermit(claims(func(c *permit.Claims) { c.Status.List = 2 }), donghu.signer, nil)},
		{name: "undetermined_status_after_now", expect: "undetermined", reason: "clock_before_status", comment: "the clock is 301 seconds before the snapshot was made", at: asOf - 301, text: good},
	}
}

func issuerScenes() []scene {
	none := map[string]string{"status": ""}
	at := func(iat int64) func(c *permit.Claims) { return func(c *permit.Claims) { c.IssuedAt = iat } }
	return []scene{
		{name: "unknown_issuer", expect: "unknown_issuer", reason: "key_not_in_bundle", comment: "signed by a key that is not in the bundle", text: mustPermit(honest(), stranger.signer, nil)},
		{name: "issuer_not_allowed", expect: "issuer_not_allowed", reason: "no_authority", comment: "the agency has no authority for the type", text: mustPermit(teacher(nil), xishan.signer, nil)},
		{name: "issuer_not_allowed_without_status", expect: "issuer_not_allowed", reason: "no_authority", comment: "no status is needed to know", files: none, text: mustPermit(teacher(nil), xishan.signer, nil)},
		{name: "issuer_not_allowed_area", expect: "issuer_not_allowed", reason: "authority_outside_area", comment: "the district's authority is for another district", text: mustPermit(teacher(nil), donghu.signer, nil)},
		{name: "issuer_not_allowed_before", expect: "issuer_not_allowed", reason: "authority_not_then", comment: "issued the second before the authority began", text: mustPermit(teacher(at(begin+20*day-1)), school.signer, nil)},
		{name: "issuer_not_allowed_after", expect: "issuer_not_allowed", reason: "authority_not_then", comment: "issued in the second in which the authority ended", text: mustPermit(teacher(at(begin+58*day)), school.signer, nil)},
		{name: "issuer_not_allowed_key_before", expect: "issuer_not_allowed", reason: "outside_signing_window", comment: "issued the second before the key's window", text: mustPermit(claims(at(begin-1)), donghu.signer, nil)},
		{name: "issuer_not_allowed_key_after", expect: "issuer_not_allowed", reason: "outside_signing_window", comment: "issued in the second in which the key's window ended", text: mustPermit(claims(at(begin+40*day)), retired.signer, nil)},
	}
}

func stolenScenes() []scene {
	list := map[string]string{"genuine": "genuine.bin"}
	forged := claims(func(c *permit.Claims) { c.HolderName = "江城市另一家公司" })
	return []scene{
		{name: "key_compromised", expect: "key_compromised", reason: "signed_after_compromise", comment: "issued in the second of the theft", files: list, text: mustPermit(claims(func(c *permit.Claims) { c.IssuedAt = stolenAt }), stolen.signer, nil)},
		{name: "key_compromised_backdated", expect: "key_compromised", reason: "not_on_genuine_list", comment: "dated before the theft by the thief, and not on the genuine list", files: list, text: mustPermit(forged, stolen.signer, nil)},
		{name: "key_compromised_no_list", expect: "key_compromised", reason: "genuine_list_absent", comment: "genuine, but the verifier does not have the list", text: mustPermit(honest(), stolen.signer, nil)},
		{name: "key_compromised_other_list", expect: "key_compromised", reason: "genuine_list_absent", comment: "a list that is not the one the bundle names", files: map[string]string{"genuine": "genuine-other.bin"}, text: mustPermit(honest(), stolen.signer, nil)},
		{name: "key_compromised_never_a_list", expect: "key_compromised", reason: "genuine_list_absent", comment: "the bundle names no list for the key", files: list, text: mustPermit(honest(), lost.signer, nil)},
		{name: "key_compromised_without_status", expect: "key_compromised", reason: "signed_after_compromise", comment: "no status is needed to know", files: map[string]string{"status": ""}, text: mustPermit(claims(func(c *permit.Claims) { c.IssuedAt = stolenAt }), stolen.signer, nil)},
	}
}

func formScenes() []scene {
	forger := permit.Signer{KID: donghu.KID, Alg: es256, Key: steady{strangerKey}}
	other := permit.Signer{KID: donghu.KID, Alg: es384, Key: steady{mustKey(elliptic.P384(), "verdict vectors, another curve")}}
	live := mustPermit(claims(func(c *permit.Claims) { c.Confirmation = phoneKey() }), donghu.signer, nil)
	good := mustPermit(honest(), donghu.signer, nil)
	return []scene{
		{name: "bad_signature", expect: "bad_signature", reason: "signature_does_not_verify", comment: "signed by another key under the agency's kid", text: mustPermit(honest(), forger, nil)},
		{name: "bad_signature_alg", expect: "bad_signature", reason: "signature_does_not_verify", comment: "an algorithm that is not the key's", text: mustPermit(honest(), other, nil)},
		{name: "bad_signature_of_expired", expect: "bad_signature", reason: "signature_does_not_verify", comment: "what nobody signed says nothing about dates", text: mustPermit(claims(func(c *permit.Claims) { c.Expires = now }), forger, nil)},
		{name: "bad_signature_unknown_type", expect: "bad_signature", reason: "signature_does_not_verify", comment: "nor about its type", text: mustPermit(claims(func(c *permit.Claims) { c.Type = 99 }), forger, nil)},
		{name: "live_copy", expect: "live_copy", reason: "shown_without_its_phone", comment: "a permit bound to a phone, presented alone", text: live},
		{name: "live_copy_without_status", expect: "live_copy", reason: "shown_without_its_phone", comment: "no status is needed to know", files: map[string]string{"status": ""}, text: live},
		{name: "malformed", expect: "malformed", reason: "not_a_permit", comment: "some other text", text: "https://jiangcheng.example/permits/12345"},
		{name: "malformed_empty", expect: "malformed", reason: "not_a_permit", comment: "no text", text: ""},
		{name: "malformed_small_letters", expect: "malformed", reason: "not_a_permit", comment: "small letters, which Base45 does not have", text: strings.ToLower(good)},
		{name: "malformed_cut", expect: "malformed", reason: "not_a_permit", comment: "the last three characters are missing", text: good[:len(good)-3]},
		{name: "malformed_line_end", expect: "malformed", reason: "not_a_permit", comment: "a line end after the permit: whoever reads a file takes it off", text: good + "\n"},
		{name: "malformed_without_trust", expect: "malformed", reason: "not_a_permit", comment: "no trust bundle is needed to know", files: map[string]string{"trust": "", "status": ""}, text: "EL1:"},
		{name: "too_large", expect: "too_large", reason: "over_a_bound", comment: "3392 characters", text: "EL1:" + strings.Repeat("0", 3388)},
	}
}

func unknownScenes() []scene {
	good := mustPermit(honest(), donghu.signer, nil)
	none := map[string]string{"trust": "", "status": ""}
	return []scene{
		{name: "undetermined_no_trust", expect: "undetermined", reason: "no_trust", comment: "there is no bundle", files: none, text: good},
		{name: "undetermined_no_trust_dictionary", expect: "undetermined", reason: "no_trust", comment: "there is no bundle, nor the dictionary in it", files: none, text: mustPermit(honest(), donghu.signer, foodDictionary)},
		{name: "undetermined_trust_of_other_root", expect: "undetermined", reason: "trust_refused", comment: "the pin is another root's", files: map[string]string{"root": "root-other.pem"}, text: good},
		{name: "undetermined_trust_damaged", expect: "undetermined", reason: "trust_refused", comment: "a snapshot in place of the bundle", files: map[string]string{"trust": "status.elr1"}, text: good},
		{name: "undetermined_trust_expired", expect: "undetermined", reason: "trust_expired", comment: "now is the bundle's exp", at: made + 30*day, text: good},
		{name: "undetermined_trust_expired_stranger", expect: "undetermined", reason: "trust_expired", comment: "an old bundle cannot say that a key is unknown", at: made + 30*day, text: mustPermit(honest(), stranger.signer, nil)},
		{name: "undetermined_trust_after_now", expect: "undetermined", reason: "clock_before_trust", comment: "the clock is 301 seconds before the bundle was made", at: made - 301, text: good},
		{name: "undetermined_type", expect: "undetermined", reason: "type_not_in_bundle", comment: "a type that this bundle does not know", text: mustPermit(claims(func(c *permit.Claims) { c.Type = 99 }), donghu.signer, nil)},
		{name: "undetermined_dictionary", expect: "undetermined", reason: "dictionary_not_in_bundle", comment: "a dictionary that this bundle does not have", text: mustPermit(honest(), donghu.signer, noDictionary)},
	}
}
