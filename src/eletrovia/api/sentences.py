"""What a person reads for an error's code, in English and in Brazilian Portuguese.

A code without a sentence of its own gets its kind's: the code and the facts still say the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eletrovia.api.sentences_alert import ALERT
from eletrovia.api.sentences_bill import BILL
from eletrovia.api.sentences_meter import METER
from eletrovia.api.sentences_usage import USAGE
from eletrovia.people.account import Language

# kind or status: (English, Português)
TITLES: Final[dict[str | int, tuple[str, str]]] = {
    "invalid": ("Invalid request", "Pedido inválido"),
    "denied": ("Not allowed", "Não permitido"),
    "not_found": ("Not found", "Não encontrado"),
    "conflict": ("In conflict with what stands", "Em conflito com o que já existe"),
    "overloaded": ("Too much at once", "Pedidos demais"),
    "unavailable": ("Not available now", "Indisponível agora"),
    "internal": ("Internal error", "Erro interno"),
    400: ("Malformed request", "Pedido malformado"),
    401: ("Please log in", "É preciso entrar"),
    405: ("Method not allowed", "Método não permitido"),
    413: ("Request too large", "Pedido grande demais"),
    415: ("Unsupported media type", "Tipo de conteúdo não aceito"),
}

KINDS: Final[dict[str, tuple[str, str]]] = {
    "invalid": (
        "What was sent cannot be right ({code}).",
        "O que foi enviado não pode estar certo ({code}).",
    ),
    "denied": ("You may not do that ({code}).", "Você não tem permissão para isso ({code})."),
    "not_found": ("There is no such thing ({code}).", "Isso não existe ({code})."),
    "conflict": (
        "Something that stands already forbids it ({code}).",
        "Algo que já existe impede isso ({code}).",
    ),
    "overloaded": ("Too much at once; try again soon.", "Pedidos demais; tente de novo daqui a pouco."),
    "unavailable": (
        "A part that is needed does not answer now ({code}).",
        "Uma parte necessária não responde agora ({code}).",
    ),
    "internal": (
        "Something went wrong here. The log tells more under incident {incident}.",
        "Algo deu errado aqui. O registro diz mais sob o incidente {incident}.",
    ),
}

# Each is English, then Portuguese. "code/reason" goes before "code" where the facts say so.
SENTENCES: Final[dict[str, tuple[str, str]]] = {
    **METER,
    **USAGE,
    **BILL,
    **ALERT,
    # -- the request itself
    "body.malformed": (
        "The body is not well-formed JSON: {problem}.",
        "O corpo não é um JSON bem formado: {problem}.",
    ),
    "body.missing": ("A JSON body is required.", "É preciso enviar um corpo JSON."),
    "body.missing_field": ("The field “{field}” is missing.", "Falta o campo “{field}”."),
    "body.unknown_field": ("There is no field “{field}” here.", "Não existe o campo “{field}” aqui."),
    "body.wrong_type": (
        "The field “{field}” is wrong: {problem}.",
        "O campo “{field}” está errado: {problem}.",
    ),
    "body.nul_character": ("Text may not hold a NUL character.", "Texto não pode conter o caractere NUL."),
    "body.too_large": (
        "The body is too large; 1 MB is the most.",
        "O corpo é grande demais; o máximo é 1 MB.",
    ),
    "body.not_json": ("The body must be application/json.", "O corpo deve ser application/json."),
    "body.too_many_items": ("At most {allowed} items at once.", "No máximo {allowed} itens de uma vez."),
    "parameter.invalid": (
        "The parameter “{field}” is wrong: {problem}.",
        "O parâmetro “{field}” está errado: {problem}.",
    ),
    "parameter.missing": ("The parameter “{field}” is missing.", "Falta o parâmetro “{field}”."),
    "path.malformed": ("The address holds a NUL character.", "O endereço contém um caractere NUL."),
    "route.unknown": ("There is nothing at {path}.", "Não há nada em {path}."),
    "route.method_not_allowed": ("{path} does not know {method}.", "{path} não conhece {method}."),
    "request.refused": ("The request was refused: {reason}.", "O pedido foi recusado: {reason}."),
    # -- people
    "account.email_taken": ("There is an account for {email} already.", "Já existe uma conta para {email}."),
    "account.email_malformed": (
        "That is no e-mail address; it looks like {expected}.",
        "Isso não é um endereço de e-mail; ele tem a forma {expected}.",
    ),
    "account.name_malformed": (
        "A name has 1 to {max_length} letters, in one line.",
        "Um nome tem de 1 a {max_length} letras, em uma linha.",
    ),
    "account.password_too_short": (
        "The password needs at least {min_length} characters; it has {length}.",
        "A senha precisa de pelo menos {min_length} caracteres; ela tem {length}.",
    ),
    "account.password_too_long": (
        "The password may have at most {max_length} characters.",
        "A senha pode ter no máximo {max_length} caracteres.",
    ),
    "account.password_is_email": (
        "The password may not be the e-mail address.",
        "A senha não pode ser o endereço de e-mail.",
    ),
    "account.unknown": ("There is no such account.", "Essa conta não existe."),
    "account.not_staff": (
        "Only the operator's staff may do that.",
        "Só a equipe da operadora pode fazer isso.",
    ),
    "login.wrong": ("The e-mail address or the password is wrong.", "O e-mail ou a senha está errado."),
    "login.too_many_tries": (
        "Too many tries for this account; wait {retry_after_s} s.",
        "Tentativas demais para esta conta; espere {retry_after_s} s.",
    ),
    "login.busy": ("Too many people log in just now.", "Há gente demais entrando agora."),
    "token.missing": (
        "This needs an access token: log in first.",
        "Isso exige um token de acesso: entre primeiro.",
    ),
    "token.unknown": ("The access token is not one of ours.", "O token de acesso não é nosso."),
    "token.expired": ("The access token is over; refresh it.", "O token de acesso venceu; renove-o."),
    "token.refresh_unknown": (
        "The refresh token is unknown, over or revoked; log in again.",
        "O token de renovação é desconhecido, venceu ou foi revogado; entre de novo.",
    ),
    "token.refresh_reused": (
        "The refresh token was used before. To be safe, this log-in has ended; log in again.",
        "O token de renovação já foi usado. Por segurança, esta sessão terminou; entre de novo.",
    ),
    "token.request_incomplete": (
        "Send either email and password, or refresh_token.",
        "Envie e-mail e senha, ou então refresh_token.",
    ),
    # -- trips
    "trip.idempotency_key_missing": (
        "The header Idempotency-Key is required, so that a repeated request cannot book twice.",
        "O cabeçalho Idempotency-Key é obrigatório, para que um pedido repetido não reserve duas vezes.",
    ),
    "trip.idempotency_key_malformed": (
        "The header Idempotency-Key has 1 to 255 printable ASCII characters.",
        "O cabeçalho Idempotency-Key tem de 1 a 255 caracteres ASCII imprimíveis.",
    ),
    "trip.key_reused": (
        "This Idempotency-Key was used with another body.",
        "Esta Idempotency-Key já foi usada com outro corpo.",
    ),
    "trip.unknown": ("There is no such trip.", "Essa viagem não existe."),
    "trip.stop_unknown": ("The trip has no stop {stop}.", "A viagem não tem a parada {stop}."),
    "trip.not_confirmed": (
        "The trip is not confirmed: it is {state}.",
        "A viagem não está confirmada: está {state}.",
    ),
    "trip.no_way": ("No way was found for this trip.", "Nenhum caminho foi encontrado para esta viagem."),
    "trip.no_way/unreachable": ("No road leads there.", "Nenhuma estrada leva até lá."),
    "trip.no_way/battery": (
        "The battery falls {short_km} km short between {after} and {before}.",
        "A bateria fica {short_km} km aquém entre {after} e {before}.",
    ),
    "trip.no_way/occupied": (
        "There is a way, but no station on it is free long enough.",
        "Há um caminho, mas nenhuma estação nele fica livre por tempo suficiente.",
    ),
    "trip.taken": (
        "Others were first at a stop, {attempts} times in a row. Nothing is booked.",
        "Outros chegaram antes a uma parada, {attempts} vezes seguidas. Nada foi reservado.",
    ),
    "trip.operators_unreachable": (
        "These operators do not answer: {unreachable_operators}. Nothing is booked.",
        "Estas operadoras não respondem: {unreachable_operators}. Nada foi reservado.",
    ),
    "trip.interrupted": (
        "The booking was interrupted. Nothing is booked.",
        "A reserva foi interrompida. Nada foi reservado.",
    ),
    "trip.moved_on": ("The trip has moved on meanwhile.", "A viagem já seguiu adiante."),
    "trip.attempts_out_of_range": (
        "The number of attempts is at least 1, not {attempts}.",
        "O número de tentativas é no mínimo 1, não {attempts}.",
    ),
    "trip.departure_past": ("The departure {departs_at} is past.", "A partida {departs_at} já passou."),
    "trip.departure_too_far": (
        "The departure {departs_at} is more than {allowed_days} days ahead.",
        "A partida {departs_at} está a mais de {allowed_days} dias daqui.",
    ),
    "trip.currencies_differ": (
        "The stops are sold in several currencies: {currencies}.",
        "As paradas são vendidas em moedas diferentes: {currencies}.",
    ),
    "plan.too_many_ways": (
        "There are too many ways to weigh; try a shorter trip.",
        "Há caminhos demais para comparar; tente uma viagem mais curta.",
    ),
    "roads.no_way": ("No road leads from one to the other.", "Nenhuma estrada liga um ao outro."),
    "trip.soc_out_of_range": (
        "A battery's state of charge is {allowed}, not {soc}.",
        "A carga da bateria vai de {allowed}, não {soc}.",
    ),
    "trip.reserve_out_of_range": (
        "The reserve is {allowed}, not {reserve_soc}.",
        "A reserva vai de {allowed}, não {reserve_soc}.",
    ),
    "trip.departure_without_zone": (
        "departs_at names no time zone; write e.g. 2026-03-01T08:00:00-03:00.",
        "departs_at não diz o fuso horário; escreva p. ex. 2026-03-01T08:00:00-03:00.",
    ),
    "trip.too_many_streams": ("Too many event streams are open.", "Há fluxos de eventos demais abertos."),
    # -- places, cars, stations
    "place.unknown": (
        "There is no place called “{text}” here; alike are: {suggestions}.",
        "Não há lugar chamado “{text}” aqui; parecidos: {suggestions}.",
    ),
    "point.off_globe": ("{lat}, {lon} is not on the Earth.", "{lat}, {lon} não fica na Terra."),
    "point.malformed": (
        "A point is written as latitude,longitude in degrees.",
        "Um ponto se escreve latitude,longitude em graus.",
    ),
    "vehicle.unknown": (
        "There is no car model “{vehicle_id}”; alike are: {suggestions}.",
        "Não há modelo de carro “{vehicle_id}”; parecidos: {suggestions}.",
    ),
    "vehicle.impossible": ("No car has such numbers.", "Nenhum carro tem tais números."),
    "vehicle.curve_malformed": (
        "A charge curve's points rise in state of charge from 0 to 1, with powers above 0.",
        "Os pontos de uma curva de carga crescem de 0 a 1, com potências acima de 0.",
    ),
    "location.unknown": ("There is no such station.", "Essa estação não existe."),
    "location.not_ours": (
        "The station belongs to {operator_id}; only {ours} is kept here.",
        "A estação é de {operator_id}; aqui só se guardam as de {ours}.",
    ),
    "location.id_malformed": (
        "“{id}” is no station's id; it is {expected}.",
        "“{id}” não é id de estação; ele é {expected}.",
    ),
    "location.duplicated": (
        "The station {location_id} is named twice.",
        "A estação {location_id} aparece duas vezes.",
    ),
    "evse.unknown": ("There is no charging point {uid}.", "Não há ponto de recarga {uid}."),
    "evse.uid_malformed": (
        "“{uid}” is no charging point's uid; it is {expected}.",
        "“{uid}” não é uid de ponto de recarga; ele é {expected}.",
    ),
    "evse.id_malformed": (
        "“{evse_id}” is no charging point's id; it looks like {expected}.",
        "“{evse_id}” não é id de ponto de recarga; ele tem a forma {expected}.",
    ),
    "evse.no_connectors": (
        "The charging point {uid} has no connector.",
        "O ponto de recarga {uid} não tem conector.",
    ),
    "evse.uid_duplicated": (
        "The charging point {uid} stands at {also_at} already.",
        "O ponto de recarga {uid} já está em {also_at}.",
    ),
    "evse.id_duplicated": (
        "The charging point id {evse_id} stands at {also_at} already.",
        "O id de ponto de recarga {evse_id} já está em {also_at}.",
    ),
    "evse.id_taken": (
        "A charging point has this id already: {detail}.",
        "Um ponto de recarga já tem esse id: {detail}.",
    ),
    "evse.claimed_twice": (
        "The charging point {uid} is claimed by two stations: {at}.",
        "O ponto de recarga {uid} aparece em duas estações: {at}.",
    ),
    "evse.at_another_location": (
        "The charging point {uid} stands at another station: {at}.",
        "O ponto de recarga {uid} está em outra estação: {at}.",
    ),
    "connector.power_missing": (
        "The connector {connector} of {uid} names no power.",
        "O conector {connector} de {uid} não diz a potência.",
    ),
    "document.nul": (
        "The text of {id} holds a NUL character.",
        "O texto de {id} contém um caractere NUL.",
    ),
    "tariff.impossible": (
        "A price is 0 to {most_price} and its tax 0 to {most_vat} percent, not {price} and {vat}.",
        "Um preço vai de 0 a {most_price} e seu imposto de 0 a {most_vat} por cento, não {price} e {vat}.",
    ),
    "id.not_plain": (
        "The id “{id}” may hold letters, digits, _ and - only.",
        "O id “{id}” só pode ter letras, dígitos, _ e -.",
    ),
    "window.empty": (
        "The span of time is empty or turned round.",
        "O intervalo de tempo está vazio ou invertido.",
    ),
    "window.zone_missing": ("A moment names no time zone.", "Um instante não diz o fuso horário."),
    "day.malformed": ("A day is written as 2026-03-01.", "Um dia se escreve 2026-03-01."),
    # -- operators and holds
    "operator.id_malformed": (
        "“{operator_id}” is no operator id; it looks like {expected}.",
        "“{operator_id}” não é um id de operadora; ele tem a forma {expected}.",
    ),
    "operator.unknown": ("There is no operator {operator_id} here.", "Não há operadora {operator_id} aqui."),
    "operator.unreachable": ("The operator at {url} does not answer.", "A operadora em {url} não responde."),
    "operator.refused_us": (
        "The operator at {url} refused us; the registration token may be used up.",
        "A operadora em {url} nos recusou; o token de registro pode já ter sido usado.",
    ),
    "operator.refused": (
        "The other operator refused, and did not say why in words that we know.",
        "A outra operadora recusou e não disse o motivo em palavras que conhecemos.",
    ),
    "operator.already_partner": ("{operator_id} is a partner already.", "{operator_id} já é parceira."),
    "operator.is_ourselves": (
        "{operator_id} is this operator itself.",
        "{operator_id} é esta própria operadora.",
    ),
    "operator.not_a_partner": ("{operator_id} is no partner.", "{operator_id} não é parceira."),
    "operator.not_who_it_says": (
        "The operator is not the one it says it is.",
        "A operadora não é quem diz ser.",
    ),
    "operator.url_malformed": (
        "“{url}” is no address of an operator; it looks like {expected}.",
        "“{url}” não é endereço de operadora; ele tem a forma {expected}.",
    ),
    "operator.answer_malformed": (
        "The operator at {url} answered in a way nobody understands.",
        "A operadora em {url} respondeu de um jeito que ninguém entende.",
    ),
    "operator.secret_too_short": (
        "The other side's secret is too short.",
        "O segredo do outro lado é curto demais.",
    ),
    "operator.alone": ("This operator has no federation.", "Esta operadora não tem federação."),
    "invitation.validity_out_of_range": (
        "An invitation is good for {allowed} seconds.",
        "Um convite vale por {allowed} segundos.",
    ),
    "operator.name_too_long": (
        "An operator's name has at most {most} characters.",
        "O nome de uma operadora tem no máximo {most} caracteres.",
    ),
    "operator.answer_too_long": (
        "The operator at {url} answered at too great a length.",
        "A operadora em {url} respondeu com dados demais.",
    ),
    "operator.mqtt_url_malformed": (
        "“{mqtt_url}” is no address of a broker.",
        "“{mqtt_url}” não é endereço de um broker.",
    ),
    "federation.not_the_caller": (
        "An operator speaks for itself only, not for {said}.",
        "Uma operadora só fala por si mesma, não por {said}.",
    ),
    "federation.post_only": ("Only POST is known here.", "Aqui só se conhece POST."),
    "federation.body_missing": ("A batch is required.", "É preciso enviar um lote."),
    "federation.credentials_malformed": (
        "The credentials cannot be read: {detail}.",
        "As credenciais não podem ser lidas: {detail}.",
    ),
    "decision.none_yet": (
        "Nothing is decided yet for attempt {attempt} at {trip_id}.",
        "Ainda nada foi decidido para a tentativa {attempt} de {trip_id}.",
    ),
    "hold.driver_ref_malformed": (
        "A hold's reference to its driver is malformed.",
        "A referência da vaga ao motorista está malformada.",
    ),
    "hold.too_contended": (
        "Too many want this slot at once; try again soon.",
        "Gente demais quer esse horário ao mesmo tempo; tente de novo daqui a pouco.",
    ),
    "federation.denied": (
        "The operator's credentials are not good here.",
        "As credenciais da operadora não valem aqui.",
    ),
    "federation.batch_malformed": (
        "The batch cannot be read: {detail}.",
        "O lote não pode ser lido: {detail}.",
    ),
    "federation.batch_too_long": (
        "At most {allowed} items in a batch.",
        "No máximo {allowed} itens por lote.",
    ),
    "federation.item_malformed": (
        "The item cannot be read: {detail}.",
        "O item não pode ser lido: {detail}.",
    ),
    "hold.taken": ("That slot is taken.", "Esse horário está ocupado."),
    "hold.unknown": ("There is no such hold.", "Essa reserva de vaga não existe."),
    "hold.decided_otherwise": (
        "The hold is {state} already; that cannot become {verdict}.",
        "A vaga já está {state}; isso não pode virar {verdict}.",
    ),
    "hold.key_reused": (
        "The same hold was asked for with other words before.",
        "A mesma vaga já foi pedida com outras palavras.",
    ),
    "hold.not_the_home": (
        "Only the trip's home operator may say that.",
        "Só a operadora da viagem pode dizer isso.",
    ),
    "hold.malformed": (
        "A hold names its charging point in plain text and a price that is a number.",
        "Uma vaga traz o ponto de recarga em texto simples e um preço que seja um número.",
    ),
    "hold.too_much": (
        "Energy, time and price are at most {allowed}.",
        "Energia, tempo e preço são no máximo {allowed}.",
    ),
    "hold.key_out_of_range": (
        "Attempt {attempt}, stop {stop}: no hold has such numbers.",
        "Tentativa {attempt}, parada {stop}: nenhuma vaga tem tais números.",
    ),
    "hold.ticket_of_another": (
        "The ticket belongs to another trip: {ticket}.",
        "O bilhete é de outra viagem: {ticket}.",
    ),
    "hold.reply_malformed": ("The answer to a hold is malformed.", "A resposta a uma vaga está malformada."),
    "hold.given_up": (
        "The slot was given up before the driver came ({ended_by}).",
        "A vaga foi liberada antes de o motorista chegar ({ended_by}).",
    ),
    "hold.failed": (
        "The hold failed here; ask again soon.",
        "A vaga falhou aqui; peça de novo daqui a pouco.",
    ),
    "ticket.zone_missing": ("A ticket's moment names its zone.", "O instante de um bilhete diz o fuso."),
    "trip.id_malformed": (
        "A trip's id is plain text of at most {longest} characters.",
        "O id de uma viagem é texto simples de até {longest} caracteres.",
    ),
    "decision.stops_out_of_range": (
        "Stops are numbered from 0 and fewer than {allowed}.",
        "As paradas se numeram a partir de 0 e são menos de {allowed}.",
    ),
    "decision.not_yours": (
        "An operator may only propose to release what it holds itself.",
        "Uma operadora só pode propor liberar o que ela mesma segura.",
    ),
    "store.failed": (
        "The database could not do it now: {reason}.",
        "O banco de dados não conseguiu agora: {reason}.",
    ),
    "store.refused": (
        "The database cannot keep that: {reason}.",
        "O banco de dados não pode guardar isso: {reason}.",
    ),
    "hold.negative": (
        "Energy, time and price cannot be negative.",
        "Energia, tempo e preço não podem ser negativos.",
    ),
    "hold.ttl_out_of_range": (
        "A hold lives for {allowed} seconds, not {ttl_s}.",
        "Uma vaga fica presa por {allowed} segundos, não {ttl_s}.",
    ),
    # -- the machine
    "decision.another_attempt_confirmed": (
        "Another attempt at this trip is confirmed already.",
        "Outra tentativa desta viagem já está confirmada.",
    ),
    "trip.arrival_too_early": (
        "It is too early to be at that stop; say so from {from_at} on.",
        "É cedo demais para estar nessa parada; avise a partir de {from_at}.",
    ),
    "trip.not_yet_kept": (
        "The request is not known to be kept yet; send it again with the same key.",
        "Ainda não se sabe se o pedido foi guardado; envie-o de novo com a mesma chave.",
    ),
    "store.unreachable": ("The database does not answer now.", "O banco de dados não responde agora."),
    "store.busy": (
        "The database is busy; try again soon.",
        "O banco de dados está ocupado; tente de novo daqui a pouco.",
    ),
    "store.outcome_unknown": (
        "The database went away in the middle; it may be done or not. Ask before you repeat it.",
        "O banco de dados caiu no meio; pode ter sido feito ou não. Pergunte antes de repetir.",
    ),
    "store.closed": ("The server is shutting down.", "O servidor está sendo desligado."),
    "lane.full": (
        "Too much is waiting already; try again soon.",
        "Já há coisa demais na fila; tente de novo daqui a pouco.",
    ),
    "lane.closed": ("The server is closing.", "O servidor está fechando."),
    "part.silent": (
        "A part that is needed did not answer in time.",
        "Uma parte necessária não respondeu a tempo.",
    ),
}


class _Told(dict[str, Any]):
    """Facts for a template; one that is not there is a dash, never an error inside an error."""

    def __missing__(self, key: str) -> str:
        return "–"


def _in(language: Language, pair: tuple[str, str]) -> str:
    return pair[1] if language is Language.PORTUGUESE else pair[0]


def title(kind: str, status: int, language: Language) -> str:
    """The heading of a problem."""
    return _in(language, TITLES.get(status) or TITLES.get(kind) or TITLES["internal"])


def sentence(code: str, kind: str, facts: Mapping[str, Any], language: Language) -> str:
    """The sentence for ``code`` with its facts, or its kind's where it has none of its own."""
    finer = SENTENCES.get(f"{code}/{facts.get('reason', '')}")
    pair = finer or SENTENCES.get(code) or KINDS.get(kind) or KINDS["internal"]
    told = _Told({name: _shown(value) for name, value in facts.items()}, code=code)
    return _in(language, pair).format_map(told)


def _shown(value: Any) -> str:
    # A string first: a template's field can then reach nothing inside a fact.
    said = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return said[:200] or "–"
