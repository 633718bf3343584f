"""What a person reads about alerts and how they are delivered: English, then Portuguese."""

from __future__ import annotations

from typing import Final

ALERT: Final[dict[str, tuple[str, str]]] = {
    "alert.unknown": ("There is no alert {alert_id}.", "Não existe o alerta {alert_id}."),
    "alert.kind_is_for_staff": (
        "Alerts of the kind {kind} are for the utility's staff.",
        "Alertas do tipo {kind} são para a equipe da distribuidora.",
    ),
    "alert.zone_unknown": (
        "“{zone}” is no time zone; write e.g. America/Fortaleza.",
        "“{zone}” não é um fuso horário; escreva por exemplo America/Fortaleza.",
    ),
    "alert.too_few_readings": (
        "There are {readings} readings; {needed} are needed to say what is too much.",
        "Há {readings} leituras; são precisas {needed} para dizer o que é excesso.",
    ),
    "alert.too_many_streams": (
        "Too many live streams are open; close one, or try again in {retry_after_s} s.",
        "Há transmissões ao vivo demais abertas; feche uma ou tente de novo em {retry_after_s} s.",
    ),
    "webhook.unknown": ("There is no webhook {webhook_id}.", "Não existe o webhook {webhook_id}."),
    "webhook.too_many": (
        "There are {allowed} webhooks already; remove one first.",
        "Já há {allowed} webhooks; remova um antes.",
    ),
    "webhook.url_malformed": (
        "That is no address to post to; write e.g. https://example.org/alerts.",
        "Isso não é um endereço de envio; escreva por exemplo https://example.org/alertas.",
    ),
    "webhook.url_not_https": (
        "Alerts are posted to https addresses only.",
        "Alertas só são enviados a endereços https.",
    ),
    "webhook.url_private": (
        "Alerts are not posted to private addresses.",
        "Alertas não são enviados a endereços privados.",
    ),
    "webhook.test_failed": (
        "The test did not arrive: {problem}.",
        "O teste não chegou: {problem}.",
    ),
    "webhook.test_too_soon": (
        "A test was posted a moment ago; try again in {retry_after_s} s.",
        "Um teste foi enviado agora há pouco; tente de novo em {retry_after_s} s.",
    ),
    "config.smtp_url_malformed": (
        "alerts.smtp_url is no mail server; write e.g. smtp://user:password@mail.example.org:587.",
        "alerts.smtp_url não é um servidor de e-mail; escreva p. ex. smtp://usuario:senha@mail.example.org:587.",
    ),
    "config.mail_from_missing": (
        "alerts.mail_from must say whom mails come from, e.g. alerts@example.org.",
        "alerts.mail_from precisa dizer de quem vêm os e-mails, p. ex. alertas@example.org.",
    ),
}
