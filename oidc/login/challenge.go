package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// challengeLife is how long a browser has to answer a challenge. The page's
// script asks for a new one before.
const challengeLife = 5 * time.Minute

// errChallenge says that a challenge is unknown, used or expired, or was given to
// another browser.
var errChallenge = fault.New(fault.Conflict, "the challenge has expired or was used, ask for another")

// newChallenge gives a challenge to a browser, known by the hash of a cookie. A
// challenge to enrol is for one person, one to sign in for "".
func (s *Service) newChallenge(ctx context.Context, browser []byte, person string) (string, error) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	challenge := base64.RawURLEncoding.EncodeToString(b)
	hash := sha256.Sum256([]byte(challenge))
	expires := db.Micros(s.o.Now().Add(challengeLife))
	return challenge, s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO login_challenges (hash, browser, person, expires) VALUES ($1, $2, $3, $4)`,
			hash[:], browser, person, expires)
		return err
	})
}

// useChallenge uses up a challenge that this browser was given for this person.
// It fails with errChallenge. What answers it is checked afterwards: no challenge
// is good for a second answer, whatever the first was worth.
func (s *Service) useChallenge(ctx context.Context, challenge string, browser []byte, person string) error {
	hash := sha256.Sum256([]byte(challenge))
	var expires int64
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `DELETE FROM login_challenges WHERE hash = $1 AND browser = $2 AND person = $3 RETURNING expires`,
			hash[:], browser, person).Scan(&expires)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return errChallenge
	}
	if err != nil {
		return err
	}
	if !s.o.Now().Before(db.Time(expires)) {
		return errChallenge
	}
	return nil
}
