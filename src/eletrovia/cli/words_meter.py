"""Words for the screen about meters and customers: (English, Português)."""

from __future__ import annotations

from typing import Final

METER_WORDS: Final[dict[str, tuple[str, str]]] = {
    "column.meter": ("meter", "medidor"),
    "column.area": ("area", "bairro"),
    "column.usage_point": ("usage point", "unidade consumidora"),
    "column.customer": ("customer", "cliente"),
    "column.until": ("until", "até"),
    "column.device_key": ("device key", "chave do aparelho"),
    "column.claim_code": ("claim code", "código"),
    "column.problem": ("why not", "por que não"),
    "column.tax_id": ("CPF or CNPJ", "CPF ou CNPJ"),
    "column.email": ("e-mail", "e-mail"),
    "column.kept": ("kept", "mantido"),
    "column.law": ("law", "lei"),
    "meter.state.in_service": ("in service", "em serviço"),
    "meter.state.blocked": ("cut off", "cortado"),
    "meter.state.removed": ("removed", "retirado"),
    "meters.none": ("No meters.", "Nenhum medidor."),
    "meters.none_yours": (
        "You have no meters yet: eletrovia meters claim ID CODE",
        "Você ainda não tem medidores: eletrovia meters claim ID CÓDIGO",
    ),
    "meters.more": ("There are more: --after {after}", "Há mais: --after {after}"),
    "meters.adding": ("Registering {done} of {all} …", "Registrando {done} de {all} …"),
    "meters.added": (
        "{kept} registered, {refused} refused. Keys and codes are shown this once: keep them.",
        "{kept} registrados, {refused} recusados. Chaves e códigos só aparecem agora: guarde-os.",
    ),
    "meters.ask_code": ("Claim code of {meter_id}: ", "Código do medidor {meter_id}: "),
    "meters.claimed": (
        "{meter_id} is yours from now on.",
        "{meter_id} é seu a partir de agora.",
    ),
    "meters.left": (
        "You have left {meter_id}. What was counted until now stays yours to see.",
        "Você saiu de {meter_id}. O que foi medido até agora continua visível para você.",
    ),
    "meters.blocked": ("{meter_id} is cut off.", "{meter_id} está cortado."),
    "meters.unblocked": ("{meter_id} is connected.", "{meter_id} está ligado."),
    "meters.swapped": (
        "{new_id} counts for {usage_point_id} in place of {meter_id}. Its key, shown this once:",
        "{new_id} mede {usage_point_id} no lugar de {meter_id}. A chave dele, que só aparece agora:",
    ),
    "meters.key": (
        "The new key of {meter_id}, shown this once; the one before is worthless:",
        "A chave nova de {meter_id}, que só aparece agora; a anterior não vale mais:",
    ),
    "meters.code": (
        "The claim code of {meter_id} for whoever moves in, shown this once:",
        "O código de {meter_id} para quem se mudar para lá, que só aparece agora:",
    ),
    "meters.changed": ("{meter_id} is changed.", "{meter_id} foi alterado."),
    "meters.removed": ("{meter_id} is out of service.", "{meter_id} está fora de serviço."),
    "meters.remove_sure": (
        "Take {meter_id} out of service for good?",
        "Retirar {meter_id} de serviço de vez?",
    ),
    "meters.moved_in": (
        "{customer_id} lives at {usage_point_id} since {since}.",
        "{customer_id} ocupa {usage_point_id} desde {since}.",
    ),
    "meters.moved_out": ("Nobody lives at {meter_id} any more.", "Ninguém mais ocupa {meter_id}."),
    "customer.address": ("address", "endereço"),
    "customer.added": ("{name} is the customer {id}.", "{name} é o cliente {id}."),
    "customer.none": ("No customers.", "Nenhum cliente."),
    "customer.exported": ("Written to {file}.", "Gravado em {file}."),
    "customer.erase_sure": (
        "Erase everything personal of {name}? This cannot be undone.",
        "Apagar tudo o que é pessoal de {name}? Isso não tem volta.",
    ),
    "customer.ask_password": (
        "The account's password, to be sure: ",
        "A senha da conta, para ter certeza: ",
    ),
    "customer.erased": (
        "{customer_id} is erased; {readings} readings finer than a day are gone.",
        "{customer_id} foi apagado; {readings} leituras mais finas que um dia foram removidas.",
    ),
    "customer.kept.stays": ("where and when, without a name", "onde e quando, sem nome"),
    "customer.kept.invoices": ("invoices", "faturas"),
    "customer.kept.other": ("other documents", "outros documentos"),
    # -- doctor
    "doctor.check.meters_zone": ("meters' time zone", "fuso dos medidores"),
    "doctor.check.tariffs": ("home tariffs", "tarifas residenciais"),
    "doctor.check.udp_buffer": ("UDP buffer", "buffer UDP"),
    "doctor.meters_zone_unknown": (
        "Set metering.time_zone to a name like America/Fortaleza.",
        "Defina metering.time_zone com um nome como America/Fortaleza.",
    ),
    "doctor.tariffs_wrong": (
        "Until then no invoice is issued. Look again: eletrovia tariffs check {file}",
        "Até lá nenhuma fatura é emitida. Verifique de novo: eletrovia tariffs check {file}",
    ),
    "doctor.udp_buffer_small": (
        "A burst would find no room. As root: sysctl -w net.core.rmem_max={octets}",
        "Uma rajada não caberia. Como root: sysctl -w net.core.rmem_max={octets}",
    ),
}
