"""What a person reads about meters, customers and readings coming in: English, then Portuguese."""

from __future__ import annotations

from typing import Final

METER: Final[dict[str, tuple[str, str]]] = {
    "mqtt.broker_away": (
        "The meters’ broker at {host} does not answer now.",
        "O broker dos medidores em {host} não responde agora.",
    ),
    "intake.closed": ("The server is stopping.", "O servidor está parando."),
    "intake.full": (
        "Too many readings wait already ({waiting}); send these again soon.",
        "Já há leituras demais esperando ({waiting}); envie estas de novo daqui a pouco.",
    ),
    "reading.at_malformed": (
        "“{at}” is no time (reading {place}); write e.g. 2026-03-01T08:00:00-03:00, or seconds since 1970.",
        "“{at}” não é um horário (leitura {place}); escreva por exemplo 2026-03-01T08:00:00-03:00, ou "
        "segundos desde 1970.",
    ),
    "reading.energy_missing": (
        "Reading {place} tells no energy: energy_wh or energy_kwh.",
        "A leitura {place} não diz a energia: energy_wh ou energy_kwh.",
    ),
    "reading.energy_twice": (
        "Reading {place} tells its energy twice: either energy_wh or energy_kwh.",
        "A leitura {place} diz a energia duas vezes: ou energy_wh ou energy_kwh.",
    ),
    "reading.meter_missing": (
        "Reading {place} names no meter.",
        "A leitura {place} não diz de qual medidor é.",
    ),
    "reading.muddled": (
        "Send one reading, or “readings”, or “rows”: not several of them together.",
        "Envie uma leitura, ou “readings”, ou “rows”: não vários deles juntos.",
    ),
    "reading.unknown_meter": ("There is no meter {meter_id}.", "Não existe o medidor {meter_id}."),
    "reading.not_its_meter": (
        "This device may not speak for meter {meter_id}.",
        "Este dispositivo não pode falar pelo medidor {meter_id}.",
    ),
    "reading.from_the_future": (
        "{at} is still to come: look at the meter's clock.",
        "{at} ainda está por vir: verifique o relógio do medidor.",
    ),
    "reading.too_old": (
        "{at} is before what is still kept.",
        "{at} é anterior ao que ainda se guarda.",
    ),
    "reading.impossible": ("No register shows this value.", "Nenhum medidor mostra esse valor."),
    "login.device_unknown": (
        "There is no such device, or its key is another one.",
        "Esse dispositivo não existe, ou a chave é outra.",
    ),
    "body.encoding_unknown": (
        "“{encoding}” cannot be unpacked here; send gzip, or plain JSON.",
        "“{encoding}” não pode ser aberto aqui; envie gzip, ou JSON puro.",
    ),
    "body.readings_too_large": (
        "Unpacked, the body is too large; {most} octets are the most.",
        "Aberto, o corpo é grande demais; o máximo são {most} octetos.",
    ),
    "reading.time_zone_missing": (
        "“{at}” names no time zone; write e.g. 2026-03-01T08:00:00-03:00.",
        "“{at}” não diz o fuso horário; escreva por exemplo 2026-03-01T08:00:00-03:00.",
    ),
    # -- meters and customers
    "meter.unknown": ("There is no meter {meter_id}.", "Não existe o medidor {meter_id}."),
    "meter.taken": ("There is a meter {meter_id} already.", "Já existe um medidor {meter_id}."),
    "meter.place_taken": (
        "A meter hangs at the usage point {usage_point_id}, or did then; swap it instead.",
        "Há, ou havia então, um medidor na unidade consumidora {usage_point_id}; faça uma troca.",
    ),
    "meter.concentrator_unknown": (
        "There is no concentrator {meter_id}.",
        "Não existe o concentrador {meter_id}.",
    ),
    "meter.id_malformed": (
        "“{value}” is no {field}: letters, digits, _ and -, at most 64.",
        "“{value}” não serve de {field}: letras sem acento, algarismos, _ e -, no máximo 64.",
    ),
    "meter.area_malformed": (
        "An area has at most {max_length} letters, in one line.",
        "Um bairro tem no máximo {max_length} letras, em uma linha.",
    ),
    "meter.number": ("{value} is no {field}.", "{value} não serve de {field}."),
    "meter.rolls_over_twice": (
        "Give either rolls_over_at_wh or digits.",
        "Informe rolls_over_at_wh ou digits, não os dois.",
    ),
    "meter.removed": ("The meter {meter_id} was removed.", "O medidor {meter_id} foi retirado."),
    "meter.not_fitted": (
        "The meter {meter_id} hangs nowhere.",
        "O medidor {meter_id} não está instalado em lugar nenhum.",
    ),
    "meter.fitted_elsewhere": (
        "The meter {meter_id} hangs elsewhere, or did then.",
        "O medidor {meter_id} está, ou estava então, instalado em outro lugar.",
    ),
    "meter.fitted_later": (
        "At {at} the meter {meter_id} did not hang there yet.",
        "Em {at} o medidor {meter_id} ainda não estava instalado ali.",
    ),
    "meter.counts_nothing": (
        "{meter_id} is a concentrator: it counts nothing itself.",
        "{meter_id} é um concentrador: ele próprio não mede nada.",
    ),
    "meter.swap_with_itself": (
        "A meter cannot be swapped for itself.",
        "Um medidor não pode ser trocado por ele mesmo.",
    ),
    "moment.zone_missing": (
        "“{at}” names no time zone; write e.g. 2026-03-01T08:00:00-03:00.",
        "“{at}” não diz o fuso horário; escreva por exemplo 2026-03-01T08:00:00-03:00.",
    ),
    "moment.to_come": ("{at} is still to come ({field}).", "{at} ainda está por vir ({field})."),
    "moment.too_old": ("{at} is before the year 2000 ({field}).", "{at} é anterior ao ano 2000 ({field})."),
    "usage_point.unknown": (
        "There is no usage point {usage_point_id}.",
        "Não existe a unidade consumidora {usage_point_id}.",
    ),
    "usage_point.occupied": (
        "Somebody lives at the usage point {usage_point_id}, or did then.",
        "Alguém ocupa, ou ocupava então, a unidade consumidora {usage_point_id}.",
    ),
    "usage_point.nobody_there": (
        "Nobody is known to live at the usage point {usage_point_id}.",
        "Não há cliente na unidade consumidora {usage_point_id}.",
    ),
    "stay.ends_before_it_begins": (
        "At {at} they did not live at the usage point {usage_point_id} yet.",
        "Em {at} o cliente ainda não ocupava a unidade consumidora {usage_point_id}.",
    ),
    "meter.claim_refused": (
        "The meter {meter_id} and this code do not belong together.",
        "O medidor {meter_id} e este código não combinam.",
    ),
    "meter.claimed": (
        "Somebody has the meter {meter_id} already. Have you moved in? Ask the utility for a new code.",
        "O medidor {meter_id} já tem cliente. Você se mudou para lá? Peça um código novo à distribuidora.",
    ),
    "meter.claim_too_many_tries": (
        "Too many wrong codes; wait {retry_after_s} s.",
        "Códigos errados demais; espere {retry_after_s} s.",
    ),
    "customer.unknown": ("There is no customer {customer_id}.", "Não existe o cliente {customer_id}."),
    "customer.account_taken": (
        "The account {account_id} is a customer already.",
        "A conta {account_id} já é de um cliente.",
    ),
    "customer.erased": (
        "This customer was erased; nothing can be changed any more.",
        "Este cliente foi apagado; nada mais pode ser alterado.",
    ),
    "customer.name_malformed": (
        "A name has 1 to {max_length} letters, in one line.",
        "Um nome tem de 1 a {max_length} letras, em uma linha.",
    ),
    "customer.address_malformed": (
        "An address has at most {max_length} letters.",
        "Um endereço tem no máximo {max_length} letras.",
    ),
    "customer.email_malformed": (
        "That is no e-mail address; it looks like {expected}.",
        "Isso não é um endereço de e-mail; ele tem a forma {expected}.",
    ),
    "customer.tax_id_malformed": (
        "That is neither a CPF (11 digits) nor a CNPJ (14).",
        "Isso não é um CPF (11 dígitos) nem um CNPJ (14).",
    ),
    "customer.tax_id_wrong": (
        "The check digits do not fit this CPF or CNPJ; look at it again.",
        "Os dígitos verificadores não batem com esse CPF ou CNPJ; confira.",
    ),
    "customer.none_yet": (
        "This account is no customer yet: claim a meter first.",
        "Esta conta ainda não é de um cliente: associe um medidor primeiro.",
    ),
    "frame.not_ours": ("That does not begin like a frame of ours.", "Isso não começa como um quadro nosso."),
    "frame.version_unknown": (
        "Version {version} of the frame is not known here.",
        "A versão {version} do quadro não é conhecida aqui.",
    ),
    "frame.kind_unknown": (
        "A frame of kind {kind} has no business here.",
        "Um quadro do tipo {kind} não cabe aqui.",
    ),
    "frame.length_wrong": (
        "The frame's length of {octets} octets does not fit what it says.",
        "O tamanho do quadro, {octets} octetos, não bate com o que ele diz.",
    ),
    "frame.malformed": (
        "The frame's head makes no sense: number {sequence}, {backlog} before it, {count} readings.",
        "O cabeçalho do quadro não faz sentido: número {sequence}, {backlog} antes dele, {count} leituras.",
    ),
    "frame.sender_unknown": (
        "No meter or concentrator here has the key {sender}.",
        "Nenhum medidor ou concentrador daqui tem a chave {sender}.",
    ),
    "frame.tag_wrong": (
        "The frame was not signed with the key of its sender {sender}.",
        "O quadro não foi assinado com a chave do remetente {sender}.",
    ),
    "frame.no_room": (
        "The frame's format has no room for reading {place}, of meter {meter}.",
        "O formato do quadro não comporta a leitura {place}, do medidor {meter}.",
    ),
    "sender.closed": (
        "The sender was closed before its readings were settled.",
        "O remetente foi fechado antes que suas leituras fossem resolvidas.",
    ),
}
