package main

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// sshAttribute is the second kind of birth: a blank machine of a pool, entered
// once and then never again.
func sshAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "The cell is born on a blank machine, which is entered over SSH. What its service has published is installed there, the access used to get in is removed, tried again and refused; only then is the cell born. " +
			"It leaves by itself: nobody enters the machine again. A change replaces the cell, but for the first after an import; modules that renew cells name by name let Terraform ignore it.",
		Optional:      true,
		PlanModifiers: []planmodifier.Object{replacesUnlessImported()},
		Attributes: map[string]schema.Attribute{
			"hosts": schema.ListNestedAttribute{
				MarkdownDescription: "The pool: machines of which the cell takes one that is free. Consul keeps who has which.",
				Required:            true,
				Validators:          []validator.List{listvalidator.SizeAtLeast(1)},
				NestedObject:        schema.NestedAttributeObject{Attributes: sshHostAttributes()},
			},
			"user": schema.StringAttribute{
				MarkdownDescription: "Who enters the machine. Another than root must be able to use `sudo` without a password. Default `root`.",
				Optional:            true, Computed: true, Default: stringdefault.StaticString("root"),
				Validators: []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"private_key": schema.StringAttribute{
				MarkdownDescription: "The private key to enter with, PEM. It is write-only: it stands in no plan and no state. A leader that acts by itself needs `private_key_file` or `authority`.",
				Optional:            true, WriteOnly: true, Sensitive: true,
				Validators: []validator.String{stringvalidator.ExactlyOneOf(
					path.MatchRelative().AtParent().AtName("private_key"), path.MatchRelative().AtParent().AtName("private_key_file"),
					path.MatchRelative().AtParent().AtName("agent"), path.MatchRelative().AtParent().AtName("authority"))},
			},
			"private_key_file": schema.StringAttribute{
				MarkdownDescription: "The file with the private key to enter with, on the machine where Terraform runs.",
				Optional:            true, Validators: []validator.String{absolutePath{}},
			},
			"agent": schema.BoolAttribute{
				MarkdownDescription: "Whether to enter with the keys of the SSH agent at `SSH_AUTH_SOCK`.",
				Optional:            true,
			},
			"authority": sshAuthorityAttribute(),
			"secrets": schema.MapAttribute{
				MarkdownDescription: "Files on the machine where Terraform runs whose content the cell gets in `/etc/homeostat/secrets`, under these names, readable by root and, by its group, by the `user` of the genome. The paths stand in the state, the content doesn't.",
				ElementType:         types.StringType, Optional: true,
			},
			"temporary_user": schema.BoolAttribute{
				MarkdownDescription: "Whether `user` is there only for births, and is removed with its home when the door is shut. Default `false`.",
				Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
			},
			"sudo_rule": schema.StringAttribute{
				MarkdownDescription: "The file below `/etc/sudoers.d` that lets `user` use `sudo`, removed when the door is shut.",
				Optional:            true, Validators: []validator.String{absolutePath{}},
			},
			"reuse": schema.BoolAttribute{
				MarkdownDescription: "Whether the machine can be used again: the cell then puts the *public* key or the authority back as its last act. Default `false`.",
				Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
			},
		},
	}
}

func sshHostAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"address": schema.StringAttribute{
			MarkdownDescription: "The machine, `host` or `host:port`. It is also the address at which others reach the cell.",
			Required:            true, Validators: []validator.String{machineAddress{}},
		},
		"host_keys": schema.ListAttribute{
			MarkdownDescription: "The machine's host keys, as lines of `known_hosts` have them (`ssh-ed25519 AAAA...`) or as fingerprints (`SHA256:...`). A machine that shows another is not entered.",
			ElementType:         types.StringType, Optional: true,
		},
		"accept_new_host_key": schema.BoolAttribute{
			MarkdownDescription: "Whether to enter a machine whose host key isn't known. Whoever is in between could then be entered instead. Default `false`.",
			Optional:            true,
		},
	}
}

func sshAuthorityAttribute() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "A certificate authority whose key signs a certificate for each birth, good for minutes.",
		Optional:            true,
		Attributes: map[string]schema.Attribute{
			"key_file": schema.StringAttribute{
				MarkdownDescription: "The file with the authority's private key, on the machine where Terraform runs.",
				Required:            true, Validators: []validator.String{absolutePath{}},
			},
			"principals": schema.ListAttribute{
				MarkdownDescription: "Whom the certificate is for. Default: `user`.",
				ElementType:         types.StringType, Optional: true,
			},
			"ttl": schema.StringAttribute{
				MarkdownDescription: "How long the certificate is good. Default `10m`.",
				Optional:            true, Validators: []validator.String{duration{least: minCertificate}},
			},
		},
	}
}
