"""What a person reads about tariffs, contracts and invoices: English, then Portuguese."""

from __future__ import annotations

from typing import Final

BILL: Final[dict[str, tuple[str, str]]] = {
    "tariff.unknown": (
        "There is no tariff {tariff_id}.",
        "Não existe a tarifa {tariff_id}.",
    ),
    "tariff.no_low_income": (
        "The tariff {tariff_id} has no social tariff in its place.",
        "A tarifa {tariff_id} não tem uma tarifa social no seu lugar.",
    ),
    "tariff.no_price": (
        "No price is known for {day}: {what} {name}.",
        "Não se conhece o preço de {day}: {what} {name}.",
    ),
    "tariff.no_price/tariff": (
        "The tariff {name} has no price for {day}.",
        "A tarifa {name} não tem preço para {day}.",
    ),
    "tariff.no_price/flag": (
        "Which flag of {name} holds on {day} is not in the tariff file yet.",
        "A bandeira de {name} em {day} ainda não está no arquivo de tarifas.",
    ),
    "tariff.no_price/flag_value": (
        "What the flag {name} adds on {day} is not in the tariff file.",
        "O adicional da bandeira {name} em {day} não está no arquivo de tarifas.",
    ),
    "tariff.no_price/tax": (
        "The tax {name} has no rate for {day}.",
        "O tributo {name} não tem alíquota para {day}.",
    ),
    "tariff.no_price/discount": (
        "The discount {name} has no rule for {day}.",
        "O desconto {name} não tem regra para {day}.",
    ),
    "tariff.no_price/minimum": (
        "The minimum {name} is not known for {day}.",
        "O mínimo {name} não é conhecido em {day}.",
    ),
    "tariff.no_price/hours": (
        "The windows {name} are not known for {day}.",
        "Os postos horários {name} não são conhecidos em {day}.",
    ),
    "tariff.no_price/lighting": (
        "Public lighting of {name} has no value for {day}.",
        "A iluminação pública de {name} não tem valor para {day}.",
    ),
    "tariff.file_missing": (
        "There is no tariff file {file}.",
        "Não existe o arquivo de tarifas {file}.",
    ),
    "tariff.file_malformed": (
        "{file} is not well-formed TOML: {reason}.",
        "{file} não é TOML bem formado: {reason}.",
    ),
    "tariff.file_wrong": (
        "In {file}, {record}, {field}: {reason}.",
        "Em {file}, {record}, {field}: {reason}.",
    ),
    "tariff.overlap": (
        "{file}, {record}: {field} and {other} both hold on {day}.",
        "{file}, {record}: {field} e {other} valem ambos em {day}.",
    ),
    "tariff.use_impossible": (
        "{use_kwh} kWh is no usage of a home.",
        "{use_kwh} kWh não é consumo de uma residência.",
    ),
    "bill.period_empty": (
        "A bill needs at least one day: {starts_on} to {ends_on} has none.",
        "Uma fatura precisa de ao menos um dia: de {starts_on} a {ends_on} não há nenhum.",
    ),
    "bill.measured_wrong": (
        "What was measured does not fit the period ({reason}).",
        "O que foi medido não cabe no período ({reason}).",
    ),
    "lighting.unknown": (
        "No public lighting is known for the municipality {municipality}.",
        "Não se conhece a iluminação pública do município {municipality}.",
    ),
    "contract.none": (
        "The usage point {usage_point_id} has no contract on {on}.",
        "A unidade consumidora {usage_point_id} não tem contrato em {on}.",
    ),
    "contract.days_billed": (
        "Days after {valid_from} are billed already; the first free day is {first_free}.",
        "Já há dias faturados depois de {valid_from}; o primeiro dia livre é {first_free}.",
    ),
    "invoice.unknown": (
        "There is no invoice {invoice_id}.",
        "Não existe a fatura {invoice_id}.",
    ),
    "invoice.period_empty": (
        "An invoice needs at least one day: {starts_on} to {ends_on} has none.",
        "Uma fatura precisa de ao menos um dia: de {starts_on} a {ends_on} não há nenhum.",
    ),
    "invoice.period_not_over": (
        "The period ends on {ends_on}: it is not over yet.",
        "O período termina em {ends_on}: ainda não acabou.",
    ),
    "invoice.period_billed": (
        "Invoice {number} stands for {starts_on} to {ends_on}.",
        "A fatura {number} já vale de {starts_on} a {ends_on}.",
    ),
    "invoice.nobody_to_bill": (
        "Nobody lives at the usage point {usage_point_id} on {on}.",
        "Não há cliente na unidade consumidora {usage_point_id} em {on}.",
    ),
    "invoice.changes_inside": (
        "Customer or contract of {usage_point_id} change on {on}: issue up to that day, then from it.",
        "O cliente ou o contrato de {usage_point_id} muda em {on}: fature até esse dia, depois desde ele.",
    ),
    "invoice.changes_too_often": (
        "The usage point {usage_point_id} changes just now; try again.",
        "A unidade consumidora {usage_point_id} está mudando agora; tente de novo.",
    ),
    "invoice.needs_a_look": (
        "A person has to look at readings of {usage_point_id} first, or issue it with a note.",
        "Alguém precisa ver primeiro as leituras de {usage_point_id}, ou faturar com uma nota.",
    ),
    "invoice.not_read_yet": (
        "The last reading of the period has not come yet; it is waited for until {until}.",
        "A última leitura do período ainda não chegou; espera-se por ela até {until}.",
    ),
    "invoice.nothing_measured": (
        "No reading of {usage_point_id} came in that period: look at the meter, or issue it with a note.",
        "Nenhuma leitura de {usage_point_id} chegou no período: verifique o medidor, ou fature com uma nota.",
    ),
    "invoice.readings_dropped": (
        "Readings of {starts_on} are not kept any more.",
        "As leituras de {starts_on} já não são guardadas.",
    ),
    "invoice.settled_meanwhile": (
        "Somebody has settled that difference of invoice {number} just now.",
        "Alguém acabou de acertar essa diferença da fatura {number}.",
    ),
    "invoice.note_malformed": (
        "A note is one line of at most {max_length} characters.",
        "Uma nota é uma linha de no máximo {max_length} caracteres.",
    ),
    "invoice.not_your_days": (
        "You did not live at the usage point {usage_point_id} on all of those days.",
        "Você não ocupava a unidade consumidora {usage_point_id} em todos esses dias.",
    ),
    "invoice.one_or_month": (
        "Name a usage point with starts_on and ends_on, or a month.",
        "Informe uma unidade consumidora com starts_on e ends_on, ou um mês.",
    ),
    "credit_note.exceeds_invoice": (
        "Invoice {number} has only {room} left to credit.",
        "A fatura {number} só tem {room} a creditar.",
    ),
    "credit_note.nothing_to_give": (
        "Readings give nothing back on invoice {number}.",
        "As leituras não devolvem nada da fatura {number}.",
    ),
    "credit_note.with_next_invoice": (
        "Later invoices charged for the days of {number} too: the next one gives it back by itself.",
        "Faturas posteriores também cobraram os dias de {number}: a próxima devolve sozinha.",
    ),
    "credit_note.amount_from_readings": (
        "For that reason the amount follows from the readings: leave it out.",
        "Por esse motivo o valor decorre das leituras: não o informe.",
    ),
    "credit_note.amount_wrong": (
        "Say an amount above 0 with at most two places, not {amount}.",
        "Informe um valor acima de 0 com no máximo duas casas, não {amount}.",
    ),
    "credit_note.key_missing": (
        "Send an Idempotency-Key: the same key is the same credit note.",
        "Envie uma Idempotency-Key: a mesma chave é a mesma nota de crédito.",
    ),
    "payment.amount_wrong": (
        "{amount} by {method} cannot be: two places at most, below 0 for a refund only.",
        "{amount} por {method} não pode ser: no máximo duas casas, abaixo de 0 só para devolução.",
    ),
    "payment.reference_used": (
        "The reference {reference} stands for another payment of this invoice.",
        "A referência {reference} já é de outro pagamento desta fatura.",
    ),
    "payment.exceeds_open": (
        "Only {open} is open, less than {amount}.",
        "Só {open} está em aberto, menos que {amount}.",
    ),
    "payment.exceeds_paid": (
        "{amount} is more than was paid.",
        "{amount} é mais do que foi pago.",
    ),
    "pix.key_malformed": (
        "{key} is no Pix key: CPF, CNPJ, telephone, e-mail or random key.",
        "{key} não é chave Pix: CPF, CNPJ, telefone, e-mail ou chave aleatória.",
    ),
    "pix.text_malformed": (
        "A Pix code's {field} has 1 to {max_length} plain letters, not “{value}”.",
        "No código Pix, {field} tem de 1 a {max_length} letras simples, não “{value}”.",
    ),
    "pix.txid_malformed": (
        "{txid} is no Pix transaction: 1 to 25 letters and digits.",
        "{txid} não é uma transação Pix: de 1 a 25 letras e dígitos.",
    ),
    "pix.amount_out_of_range": (
        "A Pix code cannot ask for {amount}.",
        "Um código Pix não pode pedir {amount}.",
    ),
    "pix.code_malformed": (
        "That is no static Pix code: {reason}.",
        "Isso não é um código Pix estático: {reason}.",
    ),
}
