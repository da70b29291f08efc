package main

import (
	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
)

// newMigrate returns the command migrate.
func newMigrate(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to this program's",
		Long: `Bring the database's schema up to this program's version. The previous program can
go on serving meanwhile and afterwards.`,
		Args: cobra.NoArgs,
	}
	addConfigFlags(c, "data", "database", "kek-file", "pkcs11.module", "pkcs11.token", "pkcs11.pin-file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		where, err := whereOf(cfg)
		if err != nil {
			return err
		}
		if err := city.Migrate(c.Context(), where, nil); err != nil {
			return err
		}
		return e.write([]byte("migrate: the schema is up to date\n"))
	}
	return c
}
