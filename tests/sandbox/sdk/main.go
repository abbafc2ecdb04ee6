// Speaks to the sandbox through Resend's official SDK for Go, which sends chunked bodies, and prints what it got as JSON.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/resend/resend-go/v3"
)

func mail(to string) *resend.SendEmailRequest {
	return &resend.SendEmailRequest{
		From:    "The Digest <digest@letters.test>",
		To:      []string{to},
		Subject: "Eleven stories",
		Html:    "<p>Read them – all of them.</p>",
		Text:    "Read them – all of them.",
		Tags:    []resend.Tag{{Name: "delivery", Value: "7"}},
		Headers: map[string]string{"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
	}
}

func main() {
	// The address of the sandbox is RESEND_BASE_URL.
	client, ctx := resend.NewClient(os.Getenv("RESEND_API_KEY")), context.Background()
	one, err := client.Emails.Send(mail("ada@readers.test"))
	check(err)
	batch := []*resend.SendEmailRequest{mail("ben@readers.test"), mail("cleo@readers.test")}
	options := &resend.BatchSendEmailOptions{IdempotencyKey: "issue-1"}
	first, err := client.Batch.SendWithOptions(ctx, batch, options)
	check(err)
	again, err := client.Batch.SendWithOptions(ctx, batch, options)
	check(err)
	read, err := client.Emails.Get(one.Id)
	check(err)
	listed, err := client.Emails.List()
	check(err)
	domains, err := client.Domains.List()
	check(err)
	domain, err := client.Domains.Get(domains.Data[0].Id)
	check(err)
	_, refused := client.Emails.Send(&resend.SendEmailRequest{From: "digest@letters.test", Subject: "To nobody"})
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"to":      read.To,
		"text":    read.Text,
		"listed":  len(listed.Data),
		"batch":   len(first.Data),
		"same":    first.Data[0].Id == again.Data[0].Id,
		"domain":  domain.Name,
		"records": len(domain.Records),
		"refusal": refused.Error(),
	}))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
