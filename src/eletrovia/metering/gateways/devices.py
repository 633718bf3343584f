"""What common devices say over MQTT by themselves, decoded: Tasmota, and Shelly of both generations.

Pure: a topic and a payload in, register values out.

Source: tasmota.github.io/docs/MQTT and /docs/Commands (TelePeriod, SetOption52, SetOption129): kWh in
        ``ENERGY.Total``, ``Time`` in the device's local time, with its offset only under SetOption52.
        shelly-api-docs.shelly.cloud/gen1: ``relay/N/energy`` in watt-minutes since the last boot,
        ``emeter/N/total`` in Wh. shelly-api-docs.shelly.cloud/gen2, Notifications, Mqtt, Switch, EMData,
        EM1Data: Wh in ``aenergy.total``, ``total_act``, ``total_act_energy``; ``ts`` in seconds since 1970.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

import msgspec

from eletrovia.metering.gateways.report import of_kwh

SUBJECTS: Final = (
    "tele.*.SENSOR",
    "tele.*.ENERGY",
    "shellies.*.relay.*.energy",
    "shellies.*.emeter.*.total",
    "*.events.rpc",
    "*.status.*",
)
"""Where these devices are heard, as NATS writes it."""

FILTERS: Final = tuple(subject.replace(".", "/").replace("*", "+") for subject in SUBJECTS)
"""The same for MQTT."""


_DIGITS: Final = 30
"""No device tells more of them, before or after the point."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A register value in a device's message.

    Shape: ``channel`` counts a device's registers from 0; ``at`` is seconds since 1970, or a local time
           without a zone, or None where the device tells no time: then it is now.
    """

    device: str
    channel: int = 0
    at: float | str | None = None
    energy_wh: int
    sent_kwh: float = float("nan")
    power_w: float | None = None


def heard(topic: str, payload: bytes) -> list[Heard]:
    """The register values in a message; none where it tells of something else.

    Raises: ValueError (``msgspec.DecodeError`` is one) for what no such device says.
    """
    match topic.split("/"):
        case ["tele", device, "SENSOR" | "ENERGY"]:
            return _tasmota(device, payload)
        case ["shellies", device, "relay", channel, "energy"]:
            # Watt-minutes: 60 of them are a Wh.
            return [_plain(device, channel, payload, 60)]
        case ["shellies", device, "emeter", channel, "total"]:
            return [_plain(device, channel, payload, 1)]
        case [device, "events", "rpc"]:
            return _notified(device, payload)
        case [device, "status", component]:
            if _COMPONENT.fullmatch(component):
                return _of_component(device, component, _STATUS.decode(payload), None)
    return []


# -- Tasmota ------------------------------------------------------------------------------------------------


class _Energy(msgspec.Struct):
    Total: Decimal | list[Decimal] | None = None
    Power: float | list[float] | None = None


class _Sensor(msgspec.Struct):
    Time: str = ""
    ENERGY: _Energy | None = None


class _OldEnergy(_Energy):
    """Until version 5.6 ``tele/…/ENERGY`` told it without a wrapper."""

    Time: str = ""
    ENERGY: _Energy | None = None


_SENSOR: Final = msgspec.json.Decoder(_Sensor)
_OLD: Final = msgspec.json.Decoder(_OldEnergy)


def _tasmota(device: str, payload: bytes) -> list[Heard]:
    sensor = _SENSOR.decode(payload)
    energy, time = sensor.ENERGY, sensor.Time
    if energy is None:
        old = _OLD.decode(payload)
        energy = old
    if energy.Total is None:
        return []
    # With SetOption129 a total for each phase; a bill is for their sum.
    totals = energy.Total if isinstance(energy.Total, list) else [energy.Total]
    if any(abs(total.adjusted()) > _DIGITS for total in totals if total):
        raise ValueError("no register shows this")
    energy_wh, sent_kwh = of_kwh(sum(totals, Decimal(0)))
    power = sum(energy.Power) if isinstance(energy.Power, list) else energy.Power
    return [Heard(device=device, at=time or None, energy_wh=energy_wh, sent_kwh=sent_kwh, power_w=power)]


# -- Shelly -------------------------------------------------------------------------------------------------

_NUMBER: Final = re.compile(rb"\d{1,15}(\.\d{0,12})?")
_CHANNEL: Final = re.compile(r"\d{1,2}")


def _plain(device: str, channel: str, payload: bytes, parts: int) -> Heard:
    if not _NUMBER.fullmatch(payload.strip()) or not _CHANNEL.fullmatch(channel):
        raise ValueError("not a plain number")
    told = Decimal(payload.strip().decode("ascii"))
    energy_wh, sent_kwh = _of_wh(told) if parts == 1 else (int(told // parts), float("nan"))
    return Heard(device=device, channel=int(channel), energy_wh=energy_wh, sent_kwh=sent_kwh)


def _of_wh(told: Decimal) -> tuple[int, float]:
    if told and abs(told.adjusted()) > _DIGITS:
        raise ValueError("no register shows this")
    return of_kwh(told.scaleb(-3))


class _Counter(msgspec.Struct):
    total: Decimal | None = None


class _Status(msgspec.Struct):
    """Of a ``switch``, ``pm1``, ``cover`` or ``light``; of an ``emdata``; of an ``em1data``."""

    aenergy: _Counter | None = None
    apower: float | None = None
    total_act: Decimal | None = None
    total_act_energy: Decimal | None = None


class _Notification(msgspec.Struct):
    method: str = ""
    params: dict[str, msgspec.Raw] = {}


_NOTIFICATION: Final = msgspec.json.Decoder(_Notification)
_STATUS: Final = msgspec.json.Decoder(_Status)
_SECONDS: Final = msgspec.json.Decoder(float)
_COMPONENT: Final = re.compile(r"(switch|pm1|cover|light|emdata|em1data):(\d{1,3})")


def _notified(device: str, payload: bytes) -> list[Heard]:
    told = _NOTIFICATION.decode(payload)
    if told.method not in ("NotifyStatus", "NotifyFullStatus"):
        return []
    at = _SECONDS.decode(told.params["ts"]) if "ts" in told.params else None
    return [
        one
        for component, status in told.params.items()
        if _COMPONENT.fullmatch(component)
        for one in _of_component(device, component, _STATUS.decode(status), at)
    ]


def _of_component(device: str, component: str, status: _Status, at: float | None) -> list[Heard]:
    match = _COMPONENT.fullmatch(component)
    if match is None:
        return []
    told = (
        status.total_act
        if match[1] == "emdata"
        else status.total_act_energy
        if match[1] == "em1data"
        else status.aenergy.total
        if status.aenergy is not None
        else None
    )
    if told is None:
        return []
    energy_wh, sent_kwh = _of_wh(told)
    return [
        Heard(
            device=device,
            channel=int(match[2]),
            at=at,
            energy_wh=energy_wh,
            sent_kwh=sent_kwh,
            power_w=status.apower,
        )
    ]
