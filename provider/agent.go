package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/homeostat-io/terraform-provider-homeostat/internal/fleet"
)

// agent is one Consul agent. A registration belongs to the agent that took it,
// so unlike what is asked of the whole cluster it can't be asked of any.
type agent struct{ fleet.Agent }

// node is the name of the agent's node, by which the cluster knows it.
func (a agent) node(ctx context.Context) (string, error) {
	var self struct{ Config struct{ NodeName string } }
	err := a.Ask(ctx, func(ctx context.Context, consul *api.Client) error {
		_, err := consul.Raw().Query("/v1/agent/self", &self, (&api.QueryOptions{}).WithContext(ctx))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask the agent at %s who it is: %w", a.Address(), err)
	}
	if self.Config.NodeName == "" {
		return "", fmt.Errorf("ask the agent at %s who it is: it doesn't tell its node's name", a.Address())
	}
	return self.Config.NodeName, nil
}

// agentOf finds the agent of a node among those configured, or any agent that
// answers when no node is given.
func (s *settings) agentOf(ctx context.Context, node string) (agent, string, error) {
	var errs []error
	var others []string
	for _, one := range s.fleet.Agents() {
		a := agent{one}
		name, err := a.node(ctx)
		switch {
		case err != nil:
			errs = append(errs, err)
		case node == "" || name == node:
			return a, name, nil
		default:
			others = append(others, name)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, fmt.Errorf("the configured addresses are those of %s", strings.Join(others, ", ")))
	}
	if node == "" {
		return agent{}, "", fmt.Errorf("no agent of Consul answers: %w", errors.Join(errs...))
	}
	return agent{}, "", fmt.Errorf("the agent of node %s, which holds the registration, can't be asked: %w", node, errors.Join(errs...))
}

// registration is a service and its check as an agent holds them.
type registration struct {
	service *api.AgentService
	// check is nil when somebody took it away from the service.
	check *agentCheck
}

// agentCheck is what an agent tells of a check's definition; the type of the
// API's package has less of it.
type agentCheck struct{ Type, Interval, Timeout string }

// registered returns nil when the agent knows no such service.
func (a agent) registered(ctx context.Context, id string) (*registration, error) {
	var service *api.AgentService
	err := a.Ask(ctx, func(ctx context.Context, consul *api.Client) (err error) {
		service, _, err = consul.Agent().Service(id, (&api.QueryOptions{}).WithContext(ctx))
		return err
	})
	if answered, ok := errors.AsType[api.StatusError](err); ok && answered.Code == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read service %s from the agent at %s: %w", id, a.Address(), err)
	}
	var checks map[string]*agentCheck
	err = a.Ask(ctx, func(ctx context.Context, consul *api.Client) error {
		_, err := consul.Raw().Query("/v1/agent/checks", &checks, (&api.QueryOptions{}).WithContext(ctx))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the checks of the agent at %s: %w", a.Address(), err)
	}
	return &registration{service: service, check: checks["service:"+id]}, nil
}

// register puts service and check in place of what there was.
func (a agent) register(ctx context.Context, r *api.AgentServiceRegistration) error {
	err := a.Ask(ctx, func(ctx context.Context, consul *api.Client) error {
		return consul.Agent().ServiceRegisterOpts(r, api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx))
	})
	if err != nil {
		return fmt.Errorf("register service %s with the agent at %s: %w", r.ID, a.Address(), err)
	}
	return nil
}

// deregister takes service and check away; one that isn't there is no error.
func (a agent) deregister(ctx context.Context, id string) error {
	err := a.Ask(ctx, func(ctx context.Context, consul *api.Client) error {
		return consul.Agent().ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
	})
	if answered, ok := errors.AsType[api.StatusError](err); ok && answered.Code == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deregister service %s from the agent at %s: %w", id, a.Address(), err)
	}
	return nil
}
