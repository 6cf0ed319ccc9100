package loop

import (
	"github.com/homeostat-io/terraform-provider-homeostat/internal/balance"
	"github.com/homeostat-io/terraform-provider-homeostat/internal/policy"
)

// LawConfig is what the law of a service's leader goes by, for those who ask what
// it would decide.
func LawConfig(s *policy.Service) balance.Config { return lawConfig(s) }
