package channel

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/portcullis/portcullis/detect/alert"
)

func init() {
	alert.Register("telegram", alert.Spec{
		Doc:     "a Telegram chat, by a bot",
		Tested:  "a contract server after Telegram's documentation",
		Chat:    true,
		Redacts: true,
		Config:  func() any { return new(TelegramConfig) },
		Open:    func(config any) (alert.Notifier, error) { return NewTelegram(*config.(*TelegramConfig)), nil },
	})
}

// TelegramConfig is the "telegram" section of a channel.
type TelegramConfig struct {
	Token string `yaml:"token" secret:"file" doc:"the token of the bot"`
	Chat  string `yaml:"chat" doc:"id of the chat, or @NAME of a channel"`
	URL   string `yaml:"url" default:"https://api.telegram.org" doc:"the Bot API server"`
}

var (
	telegramToken = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]+$`)
	telegramChat  = regexp.MustCompile(`^(-?[0-9]+|@[A-Za-z0-9_]+)$`)
)

// Check implements validation for the config loader.
func (c *TelegramConfig) Check(report func(key, message string)) {
	checkURL("url", c.URL, report)
	if !telegramToken.MatchString(c.Token) {
		report("token", "is no token of a bot: want NUMBER:LETTERS, as BotFather gave it")
	}
	if !telegramChat.MatchString(c.Chat) {
		report("chat", "want the id of a chat, or @NAME of a channel")
	}
}

// Telegram sends messages: https://core.telegram.org/bots/api#sendmessage
type Telegram struct {
	service
	cfg TelegramConfig
}

// NewTelegram makes the channel.
func NewTelegram(cfg TelegramConfig) *Telegram { return &Telegram{newService(), cfg} }

// telegramText bounds a message, in characters.
const telegramText = 4096

// Notify implements alert.Notifier. The text has no markup, so that nothing in it is any.
func (t *Telegram) Notify(ctx context.Context, n *alert.Notice) error {
	text := oneLine(n.Title)
	if n.Text != "" {
		text += "\n\n" + n.Text
	}
	if n.Link != "" {
		text = short(text, telegramText-len(n.Link)-2) + "\n\n" + n.Link
	}
	body := map[string]any{"chat_id": t.cfg.Chat, "text": short(text, telegramText), "link_preview_options": map[string]bool{"is_disabled": true}}
	a, err := t.post(ctx, strings.TrimRight(t.cfg.URL, "/")+"/bot"+t.cfg.Token+"/sendMessage", body)
	var r *alert.Refusal
	if errors.As(err, &r) {
		var said struct {
			Parameters struct {
				After int `json:"retry_after"`
			} `json:"parameters"`
		}
		if json.Unmarshal(a.Body, &said) == nil && said.Parameters.After > 0 {
			r.After = time.Duration(said.Parameters.After) * time.Second
		}
	}
	return err
}
