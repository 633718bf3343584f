"""NATS and MQTT: the embedded broker, publish and subscribe, who may do what."""
