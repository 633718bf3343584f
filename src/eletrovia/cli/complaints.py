"""What the command line says about errors, and what to do about them: (English, Português), by code.

A code that is not here is looked up in the API's catalogue.
"""

from __future__ import annotations

from typing import Final

from eletrovia.cli.words_readings import READING_ADVICE, READING_ERRORS

Pair = tuple[str, str]

ERRORS: Final[dict[str, Pair]] = {
    **READING_ERRORS,
    "config.unknown_key": (
        "{where}: there is no setting {key}.",
        "{where}: não existe a configuração {key}.",
    ),
    "config.wrong_value": (
        "{where}: {key} cannot be {value!r}: {reason}.",
        "{where}: {key} não pode ser {value!r}: {reason}.",
    ),
    "config.file_missing": (
        "There is no settings file {file}.",
        "Não existe o arquivo de configuração {file}.",
    ),
    "config.file_malformed": (
        "{file} is not well-formed TOML: {reason}.",
        "{file} não é TOML bem formado: {reason}.",
    ),
    "config.file_unreadable": ("{file} cannot be read: {reason}.", "Não dá para ler {file}: {reason}."),
    "config.no_such_key": (
        "There is no setting or section {key}.",
        "Não existe a configuração ou seção {key}.",
    ),
    "option.not_key_value": (
        "{option} takes KEY=VALUE, not {value!r}.",
        "{option} recebe CHAVE=VALOR, não {value!r}.",
    ),
    "option.needed": ("{option} is needed here.", "{option} é necessário aqui."),
    "simulation.no_such_time": (
        "Simulated households live from 2024 to 2099; {at} is outside.",
        "As casas simuladas vivem de 2024 a 2099; {at} está fora disso.",
    ),
    "simulation.rate": (
        "A rate goes from 0 to {most}; {rate} does not.",
        "Uma taxa vai de 0 a {most}; {rate} não.",
    ),
    "simulation.book_unreadable": ("{file} cannot be read: {reason}.", "Não dá para ler {file}: {reason}."),
    "simulation.key_unknown": (
        "The utility knows {meter_id} already, but its key is not in this data folder.",
        "A distribuidora já conhece {meter_id}, mas a chave dele não está nesta pasta de dados.",
    ),
    "simulation.port_needed": (
        "It is not known where to speak to: {setting} is 0.",
        "Não se sabe com quem falar: {setting} é 0.",
    ),
    "simulation.place_malformed": (
        "{to!r} is no HOST:PORT.",
        "{to!r} não é HOST:PORTA.",
    ),
    "simulation.registration_number": (
        "{id!r} is no registration number of 7 or 8 digits.",
        "{id!r} não é uma matrícula de 7 ou 8 dígitos.",
    ),
    "simulation.key_malformed": (
        "The key is not hexadecimal.",
        "A chave não está em hexadecimal.",
    ),
    "simulation.date": (
        "{date!r} is no date in the past; it looks like 2026-03-01 or 2026-03-01T08:00.",
        "{date!r} não é uma data passada; ela tem a forma 2026-03-01 ou 2026-03-01T08:00.",
    ),
    "lang.unknown": (
        "No language {lang!r} here; there are {known}.",
        "Não há o idioma {lang!r}; há {known}.",
    ),
    "zone.unknown": ("No time zone is called {zone!r}.", "Nenhum fuso horário se chama {zone!r}."),
    "departure.malformed": (
        "{written!r} is no departure; it looks like {expected}.",
        "{written!r} não é uma partida; ela tem a forma {expected}.",
    ),
    "date.malformed": (
        "{written!r} is no date; it looks like {expected}.",
        "{written!r} não é uma data; ela tem a forma {expected}.",
    ),
    "place.empty": ("A place needs a name.", "Um lugar precisa de nome."),
    "station.which": (
        "{station!r} is no station; it looks like {expected}.",
        "{station!r} não é uma estação; ela tem a forma {expected}.",
    ),
    "meters.which": (
        "Which meters? Name their ids, or --file.",
        "Quais medidores? Informe os ids, ou --file.",
    ),
    "meters.one_a_point": (
        "One usage point takes one meter.",
        "Uma unidade consumidora tem um medidor só.",
    ),
    "meters.code_missing": ("The claim code is missing.", "Falta o código do medidor."),
    "usage.which": (
        "Say one of: a meter's id, --area NAME, --city.",
        "Diga um só: o id de um medidor, --area NOME ou --city.",
    ),
    "invoice.one_or_month": (
        "Either --month, or one POINT with --from and --to (and --despite, if it must be).",
        "Ou --month, ou um POINT com --from e --to (e --despite, se for preciso).",
    ),
    "usage.which_of_yours": ("Which of your meters: {yours}?", "Qual dos seus medidores: {yours}?"),
    "marks.one_verdict": ("Either --accept or --exclude.", "Ou --accept, ou --exclude."),
    "marks.which_meter": ("Whose reading is it?", "De qual medidor é a leitura?"),
    "trips.cancel_which": ("Which trip is to be cancelled?", "Qual viagem deve ser cancelada?"),
    "file.exists": ("{file} is there already.", "{file} já existe."),
    "city.malformed": ("{file} cannot be read: {reason}.", "Não dá para ler {file}: {reason}."),
    "server.no_answer": ("No answer from {url}: {reason}.", "Sem resposta de {url}: {reason}."),
    "server.none_answers": ("No server answers ({tried}).", "Nenhum servidor responde ({tried})."),
    "server.unknown": ("The city has no operator {server}.", "A cidade não tem a operadora {server}."),
    "server.url_malformed": (
        "{url!r} is no server's address; it looks like {expected}.",
        "{url!r} não é endereço de servidor; ele tem a forma {expected}.",
    ),
    "server.answer_malformed": (
        "The server's answer makes no sense: {reason}.",
        "A resposta do servidor não faz sentido: {reason}.",
    ),
    "server.refused": ("{url} answered {status}.", "{url} respondeu {status}."),
    "login.needed": ("{url} wants to know who you are.", "{url} quer saber quem é você."),
    "login.no_password": ("There is no password for {email}.", "Não há senha para {email}."),
    "machine.refused": ("The machine refused: {reason} {file}", "A máquina recusou: {reason} {file}"),
    "internal": ("Something went wrong here: {reason}{incident}", "Algo deu errado aqui: {reason}{incident}"),
    "stations.no_such_file": ("There is no file {path}.", "Não existe o arquivo {path}."),
    "stations.format_unknown": (
        "This is no file of stations that we know.",
        "Este não é um arquivo de estações que conhecemos.",
    ),
    "stations.malformed": (
        "The file is broken at line {line}: {detail}.",
        "O arquivo está quebrado na linha {line}: {detail}.",
    ),
    "stations.empty": ("The file is empty.", "O arquivo está vazio."),
    "stations.not_utf8": ("Line {line} is not UTF-8.", "A linha {line} não é UTF-8."),
    "stations.columns_missing": ("Columns are missing: {missing}.", "Faltam colunas: {missing}."),
    "stations.columns_twice": ("Columns stand there twice: {columns}.", "Colunas repetidas: {columns}."),
    "stations.none_kept": (
        "The server took none of the stations.",
        "O servidor não aceitou nenhuma estação.",
    ),
    "stations.owner_missing": ("Whose stations are they?", "De quem são as estações?"),
    "tariff.empty": ("A tariff needs a price.", "Uma tarifa precisa de um preço."),
    "number.malformed": (
        "{written!r} is no amount; it looks like {expected}.",
        "{written!r} não é um valor; ele tem a forma {expected}.",
    ),
    "operators.token_missing": ("No registration token was given.", "Nenhum token de registro foi dado."),
    "roads.source_missing": (
        "The package {package} is not installed.",
        "O pacote {package} não está instalado.",
    ),
    "connector.unknown": ("No connector is called {connector!r}.", "Nenhum conector se chama {connector!r}."),
    "trip.no_way": ("No way was found for this trip.", "Nenhum caminho foi encontrado para esta viagem."),
    "trip.taken": (
        "Others took the slots, {attempts} times in a row; nothing is booked.",
        "Outros ocuparam os horários, {attempts} vezes seguidas; nada foi reservado.",
    ),
    "trip.operators_unreachable": (
        "{unreachable_operators} did not answer; nothing is booked.",
        "{unreachable_operators} não respondeu; nada foi reservado.",
    ),
    "trip.interrupted": (
        "The booking was cut short; nothing is booked.",
        "A reserva foi interrompida; nada foi reservado.",
    ),
    "place.unknown": ("There is no place called “{name}{text}”.", "Não há lugar chamado “{name}{text}”."),
    "roads.no_way": ("No road leads from one to the other.", "Nenhuma estrada liga um ao outro."),
    "city.runs_already": ("A city runs already on {data}.", "Já há uma cidade ativa em {data}."),
    "city.refused": (
        "A server of the city refused its own staff: {url}{operator_id} {status} {answer}",
        "Um servidor da cidade recusou a própria equipe: {url}{operator_id} {status} {answer}",
    ),
    "server.died": (
        "{server} ended with code {exit_code} while starting:\n{last_lines}",
        "{server} terminou com o código {exit_code} ao iniciar:\n{last_lines}",
    ),
    "server.silent": (
        "{server} did not answer within {waited_s} s:\n{last_lines}",
        "{server} não respondeu em {waited_s} s:\n{last_lines}",
    ),
    "http.port_taken": ("Port {port} on {host} is taken.", "A porta {port} em {host} está ocupada."),
    "gateway.port_taken": ("Port {port} on {host} is taken.", "A porta {port} em {host} está ocupada."),
    "gateway.no_port": ("A gateway needs a port.", "Um gateway precisa de uma porta."),
    "city.port_taken": (
        "Port {port} is taken by {by}.",
        "A porta {port} está ocupada por {by}.",
    ),
    "classroom.port_taken": (
        "Port {port} ({who}, {spoken}) is taken: {by}.",
        "A porta {port} ({who}, {spoken}) está ocupada: {by}.",
    ),
    "classroom.port_twice": ("{key} and {other} are both {port}.", "{key} e {other} são ambas {port}."),
    "bus.port_taken": (
        "Port {port} is taken, which {name} wants.",
        "A porta {port}, que {name} quer, está ocupada.",
    ),
    "bus.data_in_use": ("Another server uses {path}.", "Outro servidor usa {path}."),
    "bus.start_failed": ("NATS does not start: {reason} {log}", "O NATS não inicia: {reason} {log}"),
    "bus.unreachable": ("NATS at {url} does not answer.", "O NATS em {url} não responde."),
    "bus.denied": ("NATS at {url} refuses our password.", "O NATS em {url} recusa nossa senha."),
    "bus.binary_broken": ("nats-server does not run: {reason}.", "O nats-server não roda: {reason}."),
    "bus.callout_seed_unreadable": (
        "{file} holds no seed to sign the broker's answers with.",
        "{file} não tem a semente que assina as respostas ao broker.",
    ),
    "bus.version_unknown": ("{path} is {found}, not {expected}.", "{path} é {found}, não {expected}."),
    "store.in_use": ("Another server uses this database folder.", "Outro servidor usa esta pasta de banco."),
    "store.unreachable": ("PostgreSQL does not answer: {reason}.", "O PostgreSQL não responde: {reason}."),
    "store.cannot_run": ("{program} does not run: {reason}.", "{program} não roda: {reason}."),
    "store.newer_than_code": (
        "The database was made by a newer Eletrovia.",
        "O banco de dados foi feito por uma Eletrovia mais nova.",
    ),
    "vehicle.unknown": ("There is no such car model.", "Esse modelo de carro não existe."),
    # -- what is skipped in a file of stations
    "station.no_connections": ("no plugs are told", "nenhuma tomada informada"),
    "station.no_coordinates": ("no coordinates", "sem coordenadas"),
    "station.not_a_point": ("not a point but a {geometry}", "não é um ponto, e sim {geometry}"),
    "station.malformed": ("cannot be read: {detail}", "não dá para ler: {detail}"),
    "station.planned": ("only planned", "apenas planejada"),
    "station.removed": ("removed", "removida"),
    "station.not_live": ("not published by its source", "não publicada pela fonte"),
    "station.restricted_access": ("not open to the public", "não aberta ao público"),
    "station.of_another_operator": ("belongs to {operator_id}", "pertence a {operator_id}"),
    "connection.planned": ("a plug that is only planned", "uma tomada apenas planejada"),
    "connection.removed": ("a plug that was removed", "uma tomada removida"),
    "connection.kind_unknown": (
        "a plug of unknown kind ({title})",
        "uma tomada de tipo desconhecido ({title})",
    ),
    "connector.power_type_unknown": ("AC or DC? ({power_type})", "CA ou CC? ({power_type})"),
    "connector.power_missing": ("no power is told", "sem potência informada"),
    "connector.power_implausible": (
        "a power that cannot be ({power_kw} kW)",
        "uma potência impossível ({power_kw} kW)",
    ),
    "connector.quantity_out_of_range": (
        "so many plugs cannot be ({quantity})",
        "tantas tomadas não pode ser ({quantity})",
    ),
    "connector.one_id_for_many": ("one id for {quantity} plugs", "um id para {quantity} tomadas"),
    "evse.status_unknown": ("an unknown status ({status})", "um estado desconhecido ({status})"),
    "evse.uid_duplicated": ("the EVSE {uid} is there twice", "a EVSE {uid} aparece duas vezes"),
    "evse.id_duplicated": ("the EVSE {evse_id} is there twice", "a EVSE {evse_id} aparece duas vezes"),
    "evse.uid_malformed": ("no id for an EVSE: {uid}", "id de EVSE inválido: {uid}"),
    "evse.id_malformed": (
        "no EVSE id of this operator: {evse_id}",
        "id de EVSE que não é desta operadora: {evse_id}",
    ),
    "evse.no_connectors": ("an EVSE without plugs", "uma EVSE sem tomadas"),
    "field.not_a_number": ("{field} is no number: {value}", "{field} não é um número: {value}"),
    "field.not_yes_or_no": ("{field} is neither yes nor no: {value}", "{field} não é sim nem não: {value}"),
    "line.columns_miscounted": ("a line with {columns} columns", "uma linha com {columns} colunas"),
    "line.elsewhere": (
        "{location_id} is elsewhere in line {first_line}",
        "{location_id} está noutro lugar na linha {first_line}",
    ),
    "location.duplicated": ("the same id twice", "o mesmo id duas vezes"),
    "location.id_malformed": ("no id for a station: {id}", "id de estação inválido: {id}"),
    "point.off_globe": ("not on the Earth ({lat}, {lon})", "não fica na Terra ({lat}, {lon})"),
}

ADVICE: Final[dict[str, Pair]] = {
    **READING_ADVICE,
    "config.unknown_key": ("Did you mean {nearest}?", "Quis dizer {nearest}?"),
    "config.no_such_key": (
        "Did you mean {nearest}? `eletrovia config show` lists all.",
        "Quis dizer {nearest}? `eletrovia config show` lista todas.",
    ),
    "config.file_missing": ("`eletrovia config init` writes one.", "`eletrovia config init` escreve um."),
    "file.exists": ("--force writes over it.", "--force escreve por cima."),
    "server.no_answer": (
        "Start one: make demo. Or name another with --server.",
        "Inicie um: make demo. Ou indique outro com --server.",
    ),
    "server.none_answers": ("Start one: make demo", "Inicie um: make demo"),
    "server.unknown": ("There are: {known}.", "Há: {known}."),
    "login.needed": (
        "Use --email and ELETROVIA_PASSWORD, or the data folder of a running demo (--data).",
        "Use --email e ELETROVIA_PASSWORD, ou a pasta de dados de uma demo ativa (--data).",
    ),
    "login.no_password": ("Set ELETROVIA_PASSWORD.", "Defina ELETROVIA_PASSWORD."),
    "login.wrong": (
        "Check --email and ELETROVIA_PASSWORD; after a new demo, use its --data folder.",
        "Verifique --email e ELETROVIA_PASSWORD; depois de uma nova demo, use a pasta --data dela.",
    ),
    "account.not_staff": ("Log in with a staff account: --email.", "Entre com uma conta da equipe: --email."),
    "place.unknown": (
        "`eletrovia places NAME` searches; coordinates work too.",
        "`eletrovia places NOME` procura; coordenadas também servem.",
    ),
    "city.port_taken": (
        "End what runs there, or choose other ports: --port 9001",
        "Encerre o que está lá, ou escolha outras portas: --port 9001",
    ),
    "gateway.port_taken": (
        "Choose another, or --share it with gateways that do the same.",
        "Escolha outra, ou compartilhe com gateways que façam o mesmo: --share.",
    ),
    "gateway.no_port": ("For example: --udp 47808 --tcp 47809", "Por exemplo: --udp 47808 --tcp 47809"),
    "http.port_taken": (
        "A city may run already (`eletrovia doctor`); --port chooses another.",
        "Talvez já haja uma cidade ativa (`eletrovia doctor`); --port escolhe outra.",
    ),
    "classroom.port_taken": (
        "End that program, or choose another port: --set {key}=PORT",
        "Encerre esse programa ou escolha outra porta: --set {key}=PORTA",
    ),
    "simulation.key_unknown": (
        "Choose other ids: --name, or --id with --key and --number.",
        "Escolha outros ids: --name, ou --id com --key e --number.",
    ),
    "simulation.port_needed": (
        "Open a port: `eletrovia gateway --tcp 47809 --udp 47808`. Then --to 127.0.0.1:47809",
        "Abra uma porta: `eletrovia gateway --tcp 47809 --udp 47808`. Depois --to 127.0.0.1:47809",
    ),
    "classroom.port_twice": (
        "Choose another port for one of them: --set {key}=PORT",
        "Escolha outra porta para uma delas: --set {key}=PORTA",
    ),
    "bus.port_taken": ("Choose others: --set bus.mqtt_port=0", "Escolha outras: --set bus.mqtt_port=0"),
    "bus.data_in_use": ("Stop it, or choose another folder: --data", "Pare-o ou escolha outra pasta: --data"),
    "store.in_use": ("Stop it, or choose another folder: --data", "Pare-o ou escolha outra pasta: --data"),
    "city.runs_already": (
        "Use it: `eletrovia trip --help`. Or start another: --data DIR --port 9001",
        "Use-a: `eletrovia trip --help`. Ou inicie outra: --data DIR --port 9001",
    ),
    "server.died": ("The whole story: {log}", "A história toda: {log}"),
    "server.silent": ("The whole story: {log}", "A história toda: {log}"),
    "bus.binary_broken": ("Install again: make clean setup", "Instale de novo: make clean setup"),
    "store.cannot_run": ("Install again: make clean setup", "Instale de novo: make clean setup"),
    "store.unreachable": ("`eletrovia doctor` looks closer.", "`eletrovia doctor` examina de perto."),
    "bus.callout_seed_unreadable": (
        "Name the file with the issuer's seed (SA...): bus.callout_seed_file",
        "Indique o arquivo com a semente do emissor (SA...): bus.callout_seed_file",
    ),
    "bus.unreachable": ("`eletrovia doctor` looks closer.", "`eletrovia doctor` examina de perto."),
    "store.newer_than_code": ("Update this installation.", "Atualize esta instalação."),
    "vehicle.unknown": ("`eletrovia vehicles` lists them.", "`eletrovia vehicles` lista os modelos."),
    "trip.unknown": ("`eletrovia trips` lists yours.", "`eletrovia trips` lista as suas."),
    "trip.taken": ("Ask again, or leave at another time.", "Peça de novo ou saia em outro horário."),
    "trip.operators_unreachable": (
        "`eletrovia operators` shows who answers.",
        "`eletrovia operators` mostra quem responde.",
    ),
    "trip.no_way": (
        "A fuller battery, a lower --reserve or another --depart may help.",
        "Mais bateria, --reserve menor ou outro --depart podem ajudar.",
    ),
    "roads.source_missing": ("{install}", "{install}"),
    "stations.format_unknown": (
        "Known: {known}; name one with --format.",
        "Conhecidos: {known}; indique um com --format.",
    ),
    "stations.owner_missing": ("Name the operator: --of BR*CAR", "Indique a operadora: --of BR*CAR"),
    "operators.token_missing": (
        "The other operator's staff gets one from `eletrovia operators invite`.",
        "A equipe da outra operadora obtém um com `eletrovia operators invite`.",
    ),
    "tariff.unknown": ("`eletrovia tariffs` lists them.", "`eletrovia tariffs` lista as tarifas."),
    "tariff.empty": ("For example: --kwh 1.95", "Por exemplo: --kwh 1.95"),
    "connector.unknown": ("For example: {expected}", "Por exemplo: {expected}"),
    "internal": ("--debug shows where.", "--debug mostra onde."),
}
REPEAT: Final = (
    "The booking may have been heard. Repeat it with --key {key}: it will not book twice.",
    "O pedido pode ter chegado. Repita com --key {key}: não reserva duas vezes.",
)
DID_YOU_MEAN: Final = ("Did you mean {suggestions}?", "Quis dizer {suggestions}?")
GAPS: Final[dict[str, Pair]] = {
    "unreachable": ("No road leads there.", "Nenhuma estrada leva até lá."),
    "battery": (
        "The battery falls {short_km} km short between {after} and {before}.",
        "A bateria fica {short_km} km aquém entre {after} e {before}.",
    ),
    "occupied": (
        "There is a way, but no station on it is free long enough.",
        "Há um caminho, mas nenhuma estação nele fica livre por tempo suficiente.",
    ),
}
