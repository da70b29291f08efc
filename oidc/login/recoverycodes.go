package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// Recovery codes are ten of 80 bits, written as four groups of four of base32. With so
// many bits a fast hash will do.
const (
	codeCount = 10
	codeBytes = 10
)

// newRecoveryCode returns a code as it is shown.
func newRecoveryCode() string {
	var b [codeBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	text := base32.StdEncoding.EncodeToString(b[:])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// codeHash returns the hash under which a person's code stands. Capitals, full-width
// characters, spaces and hyphens make no difference, nor do the digits that a reader
// takes for letters of the alphabet.
func codeHash(person, code string) []byte {
	code = strings.Map(func(r rune) rune {
		switch {
		case r == '0':
			return 'O'
		case r == '1':
			return 'I'
		case r == '8':
			return 'B'
		case r == '-' || r == ' ' || r == '–' || r == '—':
			return -1
		}
		return r
	}, strings.ToUpper(norm.NFKC.String(code)))
	sum := sha256.Sum256([]byte("recovery\x00" + person + "\x00" + code))
	return sum[:]
}

// makeCodes replaces a person's recovery codes and returns the new ones.
func (s *Service) makeCodes(ctx context.Context, person string, b by) ([]string, error) {
	codes := make([]string, codeCount)
	for i := range codes {
		codes[i] = newRecoveryCode()
	}
	now := db.Micros(s.o.Now())
	err := s.change(ctx, person, RecoveryCodesMade, b, false, func(tx db.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM login_codes WHERE person = $1`, person); err != nil {
			return err
		}
		for _, code := range codes {
			_, err := tx.ExecContext(ctx, `INSERT INTO login_codes (person, hash, created) VALUES ($1, $2, $3)`, person, codeHash(person, code), now)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make recovery codes: %w", err)
	}
	return codes, nil
}

// codesLeft returns how many of a person's codes are unused.
func (s *Service) codesLeft(ctx context.Context, person string) (n int, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_codes WHERE person = $1 AND used = 0`, person).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count recovery codes: %w", err)
	}
	return n, nil
}

// codesPage is what codes.html sees.
type codesPage struct {
	Codes []string // just made, nil otherwise
	Left  int
}

func codesOf(p codesPage) web.Page {
	return web.Page{Template: "codes", Title: web.Text{ZH: "恢复码", EN: "Recovery codes"}, Data: p}
}

func (s *Service) showCodes(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.isFresh(w, r, id) {
		return nil
	}
	left, err := s.codesLeft(r.Context(), id.Person)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, codesOf(codesPage{Left: left}))
}

// takeCodes shows new codes, in the answer itself and never again. Sent twice it makes
// them twice: those that were shown last count.
func (s *Service) takeCodes(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if _, err := readForm(w, r); err != nil {
		return err
	}
	if !s.isFresh(w, r, id) {
		return nil
	}
	b, err := s.changer(r, id)
	if err != nil {
		return err
	}
	codes, err := s.makeCodes(r.Context(), id.Person, b)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, codesOf(codesPage{Codes: codes, Left: len(codes)}))
}
